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

/* Different domains and addresses of one message that are judged at most. */
#define DOMAINS_MAX 16
#define ADDRESSES_MAX 16

/* Domains as A-labels in lower case, each once, and who of them writes. */
struct domains {
	size_t	 n;
	char	 name[DOMAINS_MAX][DOMAIN_TEXT];
	uint32_t unnamed; /* bit by bit: not by these addresses alone */
	size_t	 naddresses;
	struct {
		size_t domain; /* its place */
		char   text[ADDRESS_TEXT];
	} address[ADDRESSES_MAX];
};

/*
 * Turns text[0..len), ASCII or UTF-8, into A-labels in lower case (IDNA2008,
 * RFC 5891, after mapping to lower case and NFC).  Letters that IDNA2003 mapped
 * to others, such as sharp s, are accepted only as A-labels.  False when it is no
 * host name: RFC 1123 2.1 labels, at least two of them, the last one not all
 * digits, no dot at the end.  Labels before the last two may have underscores
 * where others have letters, as hosts are called that send mail as themselves.
 */
bool domain_alabel(const char *, size_t, char[DOMAIN_TEXT]);

/*
 * The same for a name that may have underscores besides, as names in the DNS
 * that are not those of hosts do: "_spf.example.net".  A dot at the end is
 * left out.
 */
bool domain_underscored(const char *, size_t, char[DOMAIN_TEXT]);

/* The lower case of an ASCII letter; any other byte as it is. */
char domain_lower(char);

/*
 * Adds a domain where it is not in yet, and who of it writes: the local part
 * of len bytes, in lower case, where that is a dot-atom in ASCII (RFC 5322
 * 3.2.3) and there is room for it.  Otherwise, and for NULL, the domain is one
 * of which anybody may write.  False when there is no room for the domain.
 */
bool
domains_add(struct domains *, const char *domain, const char *local, size_t);

/* Empties it. */
void domains_clear(struct domains *);

#endif /* DOMAIN_H */
