/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * Addresses and ranges, a line each, the last line as text and the ones in
 * front of it as a set: what parses means the same when it is written and
 * parsed again, and a set matches as a comparison of bits does.
 */

#include <arpa/inet.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "netaddr.h"

#define RANGES_MAX 64

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct netaddr ranges[RANGES_MAX];
static size_t	      nranges;

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
naive_match(const struct netaddr *na)
{
	size_t i;

	for (i = 0; i < nranges; i++)
		if (ranges[i].len == na->len &&
		    bits_agree(ranges[i].addr, na->addr, ranges[i].bits))
			return (true);
	return (false);
}

static void
check_parsed(const struct netaddr *na)
{
	struct netaddr again;
	char	       text[NETADDR_TEXT], twice[NETADDR_TEXT];
	unsigned int   i;

	CHECK(na->len == 4 || na->len == 16);
	CHECK(na->bits <= na->len * 8);
	for (i = na->bits; i < 128; i++)
		CHECK(!(na->addr[i / 8] >> (7 - i % 8) & 1));
	CHECK(netaddr_text(na, text) == text);
	CHECK(strlen(text) < NETADDR_TEXT);
	CHECK(netaddr_parse_range(text, &again));
	CHECK(netaddr_equal(na, &again));
	CHECK(strcmp(netaddr_text(&again, twice), text) == 0);
	CHECK(netaddr_parse(text, &again) == (na->bits == na->len * 8));
}

/* Whatever we take, inet_pton(3) must know, but for brackets and bits. */
static void
check_known(const char *line)
{
	char   buf[INET6_ADDRSTRLEN];
	size_t len = strcspn(line, "/");

	if (line[0] == '[') {
		line++;
		len -= 2;
		CHECK(line[len] == ']');
	}
	CHECK(len < sizeof(buf));
	memcpy(buf, line, len);
	buf[len] = '\0';
	CHECK(inet_pton(AF_INET, buf, (uint8_t[16]){ 0 }) == 1 ||
	    inet_pton(AF_INET6, buf, (uint8_t[16]){ 0 }) == 1);
}

static void
check_line(struct netset *set, const char *line)
{
	struct netaddr na, range;
	bool	       single = netaddr_parse(line, &na);

	if (!netaddr_parse_range(line, &range)) {
		CHECK(!single);
		return;
	}
	CHECK(!single || netaddr_equal(&na, &range));
	check_known(line);
	check_parsed(&range);
	if (nranges == RANGES_MAX)
		return;
	ranges[nranges++] = range;
	CHECK(netset_add(set, &range));
}

/* An address and its neighbours, each bit of it changed. */
static void
check_around(const struct netset *set, struct netaddr na)
{
	unsigned int bit;

	na.bits = na.len * 8;
	CHECK(netset_match(set, &na) == naive_match(&na));
	for (bit = 0; bit < na.bits; bit++) {
		na.addr[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
		CHECK(netset_match(set, &na) == naive_match(&na));
		na.addr[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct netset set = { 0 };
	char	     *text = malloc(size + 1), *rest = text, *line;
	size_t	      i;

	CHECK(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	nranges = 0;
	while ((line = strsep(&rest, "\n")) != NULL)
		check_line(&set, line);
	netset_seal(&set);
	for (i = 0; i < nranges; i++)
		check_around(&set, ranges[i]);
	netset_clear(&set);
	free(text);
	return (0);
}
