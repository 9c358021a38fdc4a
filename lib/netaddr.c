/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/socket.h>

#include <arpa/inet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netaddr.h"

#define IPV6_NETWORK 64 /* bits */

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* Turns an IPv4-mapped IPv6 range into the IPv4 range that it means. */
static void
fold_mapped(struct netaddr *na)
{
	if (na->len != 16 || na->bits < 96 ||
	    memcmp(na->addr, mapped, sizeof(mapped)) != 0)
		return;
	memmove(na->addr, na->addr + 12, 4);
	memset(na->addr + 4, 0, 12);
	na->len = 4;
	na->bits -= 96;
}

static void
clear_host_bits(struct netaddr *na)
{
	size_t i;
	int    keep;

	for (i = 0; i < na->len; i++) {
		keep = na->bits - (int)i * 8;
		if (keep >= 8)
			continue;
		na->addr[i] &= keep <= 0 ? 0 : (uint8_t)(0xff << (8 - keep));
	}
}

/* Reads text[0..len), an address with or without brackets. */
static bool
parse_addr(const char *text, size_t len, struct netaddr *na)
{
	char buf[INET6_ADDRSTRLEN];
	bool bracketed;

	bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
	if (bracketed) {
		text++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof(buf))
		return (false);
	memcpy(buf, text, len);
	buf[len] = '\0';

	memset(na, 0, sizeof(*na));
	if (!bracketed && inet_pton(AF_INET, buf, na->addr) == 1)
		na->len = 4;
	else if (inet_pton(AF_INET6, buf, na->addr) == 1)
		na->len = 16;
	else
		return (false);
	na->bits = na->len * 8;
	return (true);
}

bool
netaddr_parse(const char *text, struct netaddr *na)
{
	if (!parse_addr(text, strlen(text), na))
		return (false);
	fold_mapped(na);
	return (true);
}

/* Reads a prefix length: decimal digits alone, no leading zero. */
static bool
parse_bits(const char *text, unsigned int max, uint8_t *bits)
{
	unsigned int n = 0;

	if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
		return (false);
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return (false);
		n = n * 10 + (unsigned int)(*text - '0');
		if (n > max)
			return (false);
	}
	*bits = (uint8_t)n;
	return (true);
}

bool
netaddr_parse_range(const char *text, struct netaddr *na)
{
	const char *slash = strchr(text, '/');

	if (slash == NULL)
		return (netaddr_parse(text, na));
	if (!parse_addr(text, (size_t)(slash - text), na))
		return (false);
	if (!parse_bits(slash + 1, na->len * 8U, &na->bits))
		return (false);
	fold_mapped(na);
	clear_host_bits(na);
	return (true);
}

/*
 * inet_ntop(3) writes ::/96 in dotted form, which RFC 5952 keeps for prefixes
 * that are known to hold IPv4.
 */
static void
text_low(const uint8_t *addr, char *buf, size_t size)
{
	unsigned int hi = (unsigned int)addr[12] << 8 | addr[13];
	unsigned int lo = (unsigned int)addr[14] << 8 | addr[15];

	if (hi != 0)
		snprintf(buf, size, "::%x:%x", hi, lo);
	else if (lo != 0)
		snprintf(buf, size, "::%x", lo);
	else
		snprintf(buf, size, "::");
}

/* Writes at most three digits, and returns where they end. */
static char *
put_byte(char *buf, unsigned int n)
{
	if (n >= 100)
		*buf++ = (char)('0' + n / 100);
	if (n >= 10)
		*buf++ = (char)('0' + n / 10 % 10);
	*buf++ = (char)('0' + n % 10);
	return (buf);
}

/* By hand, since each question about a long list writes 33 of them. */
static char *
text_ipv4(const uint8_t *addr, char *buf)
{
	size_t i;

	for (i = 0; i < 4; i++) {
		if (i > 0)
			*buf++ = '.';
		buf = put_byte(buf, addr[i]);
	}
	return (buf);
}

const char *
netaddr_text(const struct netaddr *na, char buf[NETADDR_TEXT])
{
	static const uint8_t zero[12];
	char		    *end = buf;

	buf[0] = '\0';
	if (na->len == 4)
		end = text_ipv4(na->addr, buf);
	else if (na->len == 16) {
		if (memcmp(na->addr, zero, sizeof(zero)) == 0)
			text_low(na->addr, buf, NETADDR_TEXT);
		else
			inet_ntop(AF_INET6, na->addr, buf, NETADDR_TEXT);
		end = buf + strlen(buf);
	}
	if (na->bits < na->len * 8) {
		*end++ = '/';
		end = put_byte(end, na->bits);
	}
	*end = '\0';
	return (buf);
}

bool
netaddr_equal(const struct netaddr *a, const struct netaddr *b)
{
	return (a->len == b->len && a->bits == b->bits &&
	    memcmp(a->addr, b->addr, sizeof(a->addr)) == 0);
}

bool
netaddr_covers(const struct netaddr *range, const struct netaddr *na)
{
	size_t	     bytes = range->bits / 8;
	unsigned int rest = range->bits % 8;

	if (range->len == 0 || na->len != range->len || na->bits < range->bits)
		return (false);
	if (memcmp(range->addr, na->addr, bytes) != 0)
		return (false);
	return (rest == 0 ||
	    (range->addr[bytes] ^ na->addr[bytes]) >> (8 - rest) == 0);
}

void
netaddr_widen(struct netaddr *na, uint8_t bits)
{
	if (bits >= na->bits)
		return;
	na->bits = bits;
	clear_host_bits(na);
}

struct netaddr
netaddr_host(const struct netaddr *na)
{
	struct netaddr host = *na;

	if (host.len == sizeof(host.addr))
		netaddr_widen(&host, IPV6_NETWORK);
	return (host);
}
