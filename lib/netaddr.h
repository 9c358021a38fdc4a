/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef NETADDR_H
#define NETADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest canonical text of an address or a range, with its NUL. */
#define NETADDR_TEXT 50

/*
 * An IPv4 or IPv6 address, or a range of them: the first bits of addr.  What
 * lies beyond bits is zero.  IPv4-mapped IPv6 (RFC 4291, 2.5.5.2) is held as
 * the IPv4 that it means.
 */
struct netaddr {
	uint8_t len;  /* bytes of addr in use: 4, 16; 0: none */
	uint8_t bits; /* prefix length, at most len * 8 */
	uint8_t addr[16];
};

/*
 * Reads one address: 192.0.2.1, 2001:db8::1 or [2001:db8::1].  A scope, a
 * port, leading zeros in IPv4 and anything else around it are errors.
 */
bool netaddr_parse(const char *, struct netaddr *);

/*
 * Reads an address or a CIDR range, RFC 4632: 192.0.2.0/24, 2001:db8::/32.
 * Host bits may be set and are cleared.
 */
bool netaddr_parse_range(const char *, struct netaddr *);

/*
 * Writes the canonical text: RFC 5952 for IPv6, with /bits where it is a
 * range.  Returns the buffer.
 */
const char *netaddr_text(const struct netaddr *, char[NETADDR_TEXT]);

/* Whether both are the same address (or the same range). */
bool netaddr_equal(const struct netaddr *, const struct netaddr *);

/*
 * Whether a range holds an address or a range.  An address is a range of
 * itself.  An IPv4 range holds nothing of IPv6, and vice versa.  False if
 * either is empty.
 */
bool netaddr_covers(const struct netaddr *range, const struct netaddr *);

/*
 * What stands for the host of an address: of IPv6 its /64, since a host can use
 * any address in that.
 */
struct netaddr netaddr_host(const struct netaddr *);

/* Shortens the prefix to so many bits.  A longer one is not changed. */
void netaddr_widen(struct netaddr *, uint8_t bits);

#endif /* NETADDR_H */
