/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * Addresses and ranges, a line each: what parses means the same when it is
 * written and parsed again, one covers another as a comparison of bits says,
 * and a range covers what it is a prefix of.
 */

#include <arpa/inet.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "netaddr.h"

#define RANGES_MAX 32

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
naive_covers(const struct netaddr *range, const struct netaddr *na)
{
	return (range->len == na->len && range->bits <= na->bits &&
	    bits_agree(range->addr, na->addr, range->bits));
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
check_line(const char *line)
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
	if (nranges < RANGES_MAX)
		ranges[nranges++] = range;
}

/* Against all that were read. */
static void
check_covers(const struct netaddr *na)
{
	struct netaddr wide;
	bool	       covers;
	size_t	       i;

	for (i = 0; i < nranges; i++) {
		covers = netaddr_covers(&ranges[i], na);
		CHECK(covers == naive_covers(&ranges[i], na));
		wide = *na;
		netaddr_widen(&wide, ranges[i].bits);
		CHECK(netaddr_covers(&wide, na));
		if (ranges[i].bits <= na->bits)
			CHECK(covers == netaddr_equal(&wide, &ranges[i]));
		else
			CHECK(netaddr_equal(&wide, na));
	}
}

/* It, its neighbours, each bit of it changed, and all its prefixes. */
static void
check_around(struct netaddr na)
{
	unsigned int bit;

	check_covers(&na);
	for (bit = 0; bit < na.bits; bit++) {
		na.addr[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
		check_covers(&na);
		na.addr[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
	}
	while (na.bits > 0) {
		netaddr_widen(&na, na.bits - 1);
		check_parsed(&na);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char  *text = malloc(size + 1), *rest = text, *line;
	size_t i;

	CHECK(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	nranges = 0;
	while ((line = strsep(&rest, "\n")) != NULL)
		check_line(line);
	for (i = 0; i < nranges; i++)
		check_around(ranges[i]);
	free(text);
	return (0);
}
