/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

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
naive_covers(const struct netaddr *r, const struct netaddr *na)
{
	return (r->len != 0 && r->len == na->len && r->bits <= na->bits &&
	    bits_agree(r->addr, na->addr, r->bits));
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
	struct netaddr na, r, wide;
	unsigned int   bit, width;

	assert_true(netaddr_parse(base, &na));
	width = na.len * 8U;
	snprintf(text, sizeof(text), "%s/%u", base, bits);
	r = range(text);
	assert_int_equal(r.bits, bits);
	wide = na;
	netaddr_widen(&wide, (uint8_t)bits);
	assert_true(netaddr_equal(&wide, &r));
	assert_true(netaddr_covers(&r, &r));
	assert_true(netaddr_covers(&r, &na));
	assert_int_equal(netaddr_covers(&na, &r), bits == width);
	for (bit = 0; bit < width; bit++) {
		flip(&na, bit);
		if (netaddr_covers(&r, &na) != (bit >= bits))
			fail_msg("%s, bit %u", text, bit);
		flip(&na, bit);
		assert_true(bit < bits ||
		    !(r.addr[bit / 8] >> (7 - bit % 8) & 1));
	}
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

static void
test_covers(void **state)
{
	static const struct {
		const char *range;
		const char *what;
		bool	    covers;
	} cases[] = { { "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.2", false },
		{ "192.0.2.1", "::ffff:192.0.2.1", true },
		{ "192.0.2.0/24", "192.0.2.255", true },
		{ "192.0.2.0/24", "192.0.3.0", false },
		{ "192.0.2.0/24", "192.0.1.255", false },
		{ "192.0.2.0/24", "192.0.2.128/25", true },
		{ "192.0.2.0/24", "192.0.2.0/24", true },
		{ "192.0.2.0/24", "192.0.2.0/23", false },
		{ "0.0.0.0/0", "255.255.255.255", true },
		{ "0.0.0.0/0", "0.0.0.0/0", true },
		{ "0.0.0.0/1", "0.0.0.0/0", false },
		/* Neither of the other's, even where all bits agree. */
		{ "0.0.0.0/0", "::", false }, { "0.0.0.0/0", "::/0", false },
		{ "::/0", "0.0.0.0", false },
		{ "::/0", "::ffff:192.0.2.1", false },
		{ "10.0.0.0/8", "a00::", false },
		{ "2001:db8::/32", "2001:db8:ffff::1", true },
		{ "2001:db8::/32", "2001:db9::", false },
		{ "2001:db8::1", "2001:db8::1", true },
		{ "2001:db8::/127", "2001:db8::1", true },
		{ "2001:db8::/127", "2001:db8::2", false } };
	struct netaddr a, b;
	size_t	       i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		a = range(cases[i].range);
		b = range(cases[i].what);
		if (netaddr_covers(&a, &b) != cases[i].covers)
			fail_msg("%s, %s", cases[i].range, cases[i].what);
	}
}

/* What is no address covers nothing, and nothing covers it. */
static void
test_none(void **state)
{
	struct netaddr none = { 0 }, v4 = range("0.0.0.0/0");
	struct netaddr v6 = range("::/0");
	char	       text[NETADDR_TEXT];

	(void)state;
	assert_false(netaddr_covers(&v4, &none));
	assert_false(netaddr_covers(&v6, &none));
	assert_false(netaddr_covers(&none, &v4));
	assert_false(netaddr_covers(&none, &v6));
	assert_false(netaddr_covers(&none, &none));
	netaddr_widen(&none, 0);
	netaddr_widen(&none, 128);
	assert_string_equal(netaddr_text(&none, text), "");
}

static void
test_widen(void **state)
{
	static const struct {
		const char *from;
		uint8_t	    bits;
		const char *to;
	} cases[] = { { "192.0.2.255", 32, "192.0.2.255" },
		{ "192.0.2.255", 31, "192.0.2.254/31" },
		{ "192.0.2.255", 25, "192.0.2.128/25" },
		{ "192.0.2.255", 0, "0.0.0.0/0" },
		/* More than there are change nothing. */
		{ "192.0.2.255", 33, "192.0.2.255" },
		{ "192.0.2.255", 255, "192.0.2.255" },
		{ "192.0.2.0/24", 25, "192.0.2.0/24" },
		{ "192.0.2.0/24", 16, "192.0.0.0/16" },
		{ "2001:db8::1", 128, "2001:db8::1" },
		{ "2001:db8::1", 127, "2001:db8::/127" },
		{ "2001:db8::1", 0, "::/0" },
		{ "::ffff:192.0.2.1", 24, "192.0.2.0/24" } };
	char	       text[NETADDR_TEXT];
	struct netaddr na;
	size_t	       i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		na = range(cases[i].from);
		netaddr_widen(&na, cases[i].bits);
		assert_string_equal(netaddr_text(&na, text), cases[i].to);
	}
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

/* Out of few, so that some cover others, and most do not. */
static void
test_against_naive(void **state)
{
	static struct netaddr ranges[600];
	struct netaddr	      wide;
	char		      text[NETADDR_TEXT + 4], buf[NETADDR_TEXT];
	size_t		      i, j, hits = 0;
	bool		      covers;

	(void)state;
	for (i = 0; i < 600; i++)
		ranges[i] = i % 2 == 0 ? some_range() : some_address();
	for (i = 0; i < 600; i++)
		for (j = 0; j < 600; j++) {
			covers = netaddr_covers(&ranges[i], &ranges[j]);
			assert_int_equal(covers,
			    naive_covers(&ranges[i], &ranges[j]));
			hits += covers;
			wide = ranges[j];
			netaddr_widen(&wide, ranges[i].bits);
			/* What covers it is one of its prefixes. */
			if (wide.bits == ranges[i].bits)
				assert_int_equal(netaddr_equal(&wide,
						     &ranges[i]),
				    covers);
			assert_true(netaddr_covers(&wide, &ranges[j]));
		}
	/* Else nothing was compared. */
	assert_in_range(hits, 601, 350000);
	for (i = 1; i < 600; i += 2) {
		wide = ranges[i];
		netaddr_widen(&wide, (uint8_t)number(wide.bits));
		snprintf(text, sizeof(text), "%s/%u",
		    netaddr_text(&ranges[i], buf), wide.bits);
		ranges[i] = range(text);
		assert_true(netaddr_equal(&wide, &ranges[i]));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_equal),
		cmocka_unit_test(test_prefix_lengths),
		cmocka_unit_test(test_covers), cmocka_unit_test(test_none),
		cmocka_unit_test(test_widen),
		cmocka_unit_test(test_against_naive) };

	return (cmocka_run_group_tests_name("netaddr", tests, NULL, NULL));
}
