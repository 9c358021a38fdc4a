/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "netaddr.h"

static struct netaddr
range(const char *text)
{
	struct netaddr na;

	if (!netaddr_parse_range(text, &na))
		fail_msg("refused: %s", text);
	return (na);
}

static void
test_equal(void **state)
{
	static const char *const same[][2] = { { "192.0.2.1",
						   "::ffff:c000:201" },
		{ "192.0.2.1", "192.0.2.1/32" },
		{ "[2001:db8::1]", "2001:0DB8:0::1" },
		{ "192.0.2.1/24", "192.0.2.2/24" } };
	static const char *const other[][2] = { { "192.0.2.1", "192.0.2.2" },
		{ "0.0.0.0", "::" }, { "192.0.2.0", "192.0.2.0/24" },
		{ "192.0.2.1", "::c000:201" }, { "c000:201::", "192.0.2.1" },
		{ "2001:db8::1", "2001:db8::2" } };
	struct netaddr		 a, b;
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		a = range(same[i][0]);
		b = range(same[i][1]);
		assert_true(netaddr_equal(&a, &b));
	}
	for (i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		a = range(other[i][0]);
		b = range(other[i][1]);
		assert_false(netaddr_equal(&a, &b));
	}
}

/* Whether the first bits of two addresses agree, a bit at a time. */
static bool
bits_agree(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
	unsigned int i;

	for (i = 0; i < bits; i++)
		if ((a[i / 8] ^ b[i / 8]) >> (7 - i % 8) & 1)
			return (false);
	return (true);
}

static bool
naive_match(const struct netaddr *ranges, size_t n, const struct netaddr *na)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (ranges[i].len == na->len &&
		    bits_agree(ranges[i].addr, na->addr, ranges[i].bits))
			return (true);
	return (false);
}

/* Changes one bit of an address. */
static void
flip(struct netaddr *na, unsigned int bit)
{
	na->addr[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
}

/* Each prefix length by itself: the first and last bits on either side. */
static void
check_length(const char *base, unsigned int bits)
{
	char	       text[NETADDR_TEXT + 4];
	struct netaddr na, r;
	struct netset  set = { 0 };
	unsigned int   bit, width;

	assert_true(netaddr_parse(base, &na));
	width = na.len * 8U;
	snprintf(text, sizeof(text), "%s/%u", base, bits);
	r = range(text);
	assert_int_equal(r.bits, bits);
	assert_true(netset_add(&set, &r));
	netset_seal(&set);
	assert_true(netset_match(&set, &na));
	for (bit = 0; bit < width; bit++) {
		flip(&na, bit);
		if (netset_match(&set, &na) != (bit >= bits))
			fail_msg("%s, bit %u", text, bit);
		flip(&na, bit);
		assert_true(bit < bits ||
		    !(r.addr[bit / 8] >> (7 - bit % 8) & 1));
	}
	netset_clear(&set);
}

static void
test_prefix_lengths(void **state)
{
	unsigned int bits;

	(void)state;
	for (bits = 0; bits <= 32; bits++) {
		check_length("203.0.113.202", bits);
		check_length("255.255.255.255", bits);
		check_length("0.0.0.0", bits);
	}
	for (bits = 0; bits <= 128; bits++) {
		check_length("2001:db8:a5a5:5a5a:1234:5678:9abc:def1", bits);
		check_length("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", bits);
	}
}

static bool
matches(const struct netset *set, const char *text)
{
	struct netaddr na;

	assert_true(netaddr_parse(text, &na));
	return (netset_match(set, &na));
}

static void
add(struct netset *set, const char *text)
{
	struct netaddr na = range(text);

	assert_true(netset_add(set, &na));
}

static void
test_merging(void **state)
{
	struct netset set = { 0 };

	(void)state;
	add(&set, "10.1.2.128/25"); /* adjacent to the next */
	add(&set, "10.1.2.0/25");
	add(&set, "10.0.0.0/8");    /* around them */
	add(&set, "10.255.0.0/16"); /* at its end */
	add(&set, "11.0.0.0/32");   /* behind it */
	add(&set, "192.0.2.7");
	add(&set, "192.0.2.7"); /* twice */
	add(&set, "255.255.255.255");
	add(&set, "2001:db8::/32");
	add(&set, "2001:db8:1::/48");
	add(&set, "ffff::/16");
	netset_seal(&set);
	assert_in_range(set.n, 1, 6);

	assert_false(matches(&set, "9.255.255.255"));
	assert_true(matches(&set, "10.0.0.0"));
	assert_true(matches(&set, "10.1.2.3"));
	assert_true(matches(&set, "10.1.2.200"));
	assert_true(matches(&set, "10.1.3.0"));
	assert_true(matches(&set, "10.255.255.255"));
	assert_true(matches(&set, "11.0.0.0"));
	assert_false(matches(&set, "11.0.0.1"));
	assert_false(matches(&set, "192.0.2.6"));
	assert_true(matches(&set, "192.0.2.7"));
	assert_true(matches(&set, "::ffff:192.0.2.7"));
	assert_false(matches(&set, "192.0.2.8"));
	assert_false(matches(&set, "255.255.255.254"));
	assert_true(matches(&set, "255.255.255.255"));
	assert_false(matches(&set, "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"));
	assert_true(matches(&set, "2001:db8::"));
	assert_true(matches(&set, "2001:db8:1::1"));
	assert_true(matches(&set, "2001:db8:2::1"));
	assert_true(matches(&set, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"));
	assert_false(matches(&set, "2001:db9::"));
	assert_true(matches(&set, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
	assert_false(matches(&set, "::"));
	/* The bytes of 10.0.0.0, as IPv6. */
	assert_false(matches(&set, "a00::"));
	netset_clear(&set);
	assert_int_equal(set.n, 0);
	assert_null(set.ranges);
}

static void
test_families(void **state)
{
	struct netset set = { 0 };

	(void)state;
	add(&set, "::/0");
	netset_seal(&set);
	assert_true(matches(&set, "::1"));
	assert_false(matches(&set, "192.0.2.1"));
	assert_false(matches(&set, "::ffff:192.0.2.1"));
	netset_clear(&set);
	add(&set, "0.0.0.0/0");
	netset_seal(&set);
	assert_true(matches(&set, "192.0.2.1"));
	assert_true(matches(&set, "::ffff:192.0.2.1"));
	assert_false(matches(&set, "::1"));
	netset_clear(&set);
}

static void
test_empty(void **state)
{
	struct netset  set = { 0 };
	struct netaddr none = { 0 };

	(void)state;
	netset_seal(&set);
	assert_false(matches(&set, "192.0.2.1"));
	assert_false(matches(&set, "::"));
	add(&set, "0.0.0.0/0");
	add(&set, "::/0");
	netset_seal(&set);
	assert_false(netset_match(&set, &none));
	netset_clear(&set);
	netset_clear(&set);
}

static uint32_t seed = 20260101;

static uint32_t
number(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return ((seed >> 8) % below);
}

/* An address out of few, so that ranges overlap and addresses match. */
static struct netaddr
some_address(void)
{
	struct netaddr na = { 0 };
	size_t	       i;

	na.len = number(2) == 0 ? 4 : 16;
	na.bits = na.len * 8;
	for (i = 0; i < na.len; i++)
		na.addr[i] = (uint8_t)number(i + 2 < na.len ? 2 : 256);
	if (na.len == 16)
		na.addr[0] = 0x20;
	return (na);
}

static struct netaddr
some_range(void)
{
	char	       text[NETADDR_TEXT + 4], buf[NETADDR_TEXT];
	struct netaddr na = some_address();

	snprintf(text, sizeof(text), "%s/%u", netaddr_text(&na, buf),
	    na.len * 8U - number(12));
	return (range(text));
}

static void
test_against_naive(void **state)
{
	static struct netaddr ranges[300];
	struct netset	      set = { 0 };
	struct netaddr	      na;
	size_t		      i, hits = 0;

	(void)state;
	for (i = 0; i < 300; i++) {
		ranges[i] = some_range();
		assert_true(netset_add(&set, &ranges[i]));
	}
	netset_seal(&set);
	for (i = 0; i < 20000; i++) {
		na = some_address();
		assert_int_equal(netset_match(&set, &na),
		    naive_match(ranges, 300, &na));
		hits += netset_match(&set, &na);
	}
	/* Else nothing was compared. */
	assert_in_range(hits, 100, 19900);
	netset_clear(&set);
}

/* 10,000 ranges that do not touch: each edge of each of them. */
static void
test_many(void **state)
{
	struct netset  set = { 0 };
	struct netaddr na = { .len = 4, .bits = 30 };
	uint32_t       i, n;

	(void)state;
	for (i = 0; i < 10000; i++) {
		n = htonl(0x0a000000 + i * 7919 % 10000 * 8 + 4);
		memcpy(na.addr, &n, sizeof(n));
		assert_true(netset_add(&set, &na));
	}
	netset_seal(&set);
	assert_int_equal(set.n, 10000);
	na.bits = 32;
	for (i = 0; i < 80000; i++) {
		n = htonl(0x0a000000 + i);
		memcpy(na.addr, &n, sizeof(n));
		assert_int_equal(netset_match(&set, &na), i % 8 >= 4);
	}
	netset_clear(&set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_equal),
		cmocka_unit_test(test_prefix_lengths),
		cmocka_unit_test(test_merging), cmocka_unit_test(test_families),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_against_naive),
		cmocka_unit_test(test_many) };

	return (cmocka_run_group_tests_name("netaddr", tests, NULL, NULL));
}
