/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef DOMAIN_H
#define DOMAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest domain, RFC 1035 2.3.4, with its NUL. */
#define DOMAIN_TEXT 254

/* Longest local part, RFC 5321 4.5.3.1.1, and an address of it. */
#define LOCAL_MAX 64
#define ADDRESS_TEXT (LOCAL_MAX + 1 + DOMAIN_TEXT)

/* Most different sender domains and addresses of a message. */
#define DOMAINS_MAX 16
#define ADDRESSES_MAX 16

/*
 * Domains as A-labels in lower case, each once, and their senders' addresses.
 */
struct domains {
	size_t	 n;
	char	 name[DOMAINS_MAX][DOMAIN_TEXT];
	uint32_t unnamed; /* a bit each: it has senders not in address[] */
	size_t	 naddresses;
	struct {
		size_t domain; /* index in name[] */
		char   text[ADDRESS_TEXT];
	} address[ADDRESSES_MAX];
};

/*
 * Turns text[0..len), ASCII or UTF-8, into A-labels in lower case (IDNA2008,
 * RFC 5891, after mapping to lower case and NFC).  Letters that IDNA2003 mapped
 * to others, such as sharp s, are accepted only as A-labels.  False if it is no
 * host name: RFC 1123 2.1 labels, at least two of them, the last one not all
 * digits, no dot at the end.  Labels before the last two may have underscores,
 * since names of hosts do that send mail as themselves.
 */
bool domain_alabel(const char *, size_t, char[DOMAIN_TEXT]);

/*
 * The same, but every label may have underscores, as in "_spf.example.net".  A
 * dot at the end is removed.
 */
bool domain_underscored(const char *, size_t, char[DOMAIN_TEXT]);

/* The lower case of an ASCII letter; any other byte as it is. */
char domain_lower(char);

/*
 * Adds a domain, if it is not there yet, and a sender's address in it: the
 * local part has len bytes.  If that is NULL or no dot-atom in ASCII (RFC 5322
 * 3.2.3), or if there is no room for the address, the domain gets the bit
 * unnamed.  False if there is no room for the domain.
 */
bool
domains_add(struct domains *, const char *domain, const char *local, size_t);

/* Empties it. */
void domains_clear(struct domains *);

#endif /* DOMAIN_H */
