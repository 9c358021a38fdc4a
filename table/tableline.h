/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef TABLELINE_H
#define TABLELINE_H

#include <stddef.h>

/* smtpd-tables(7), protocol 0.1: the lines that smtpd sends to a table. */

/* Longest id of a request, with its NUL; smtpd's have 8 bytes. */
#define TABLELINE_ID 32

enum tableline_kind {
	TABLE_CONFIG,
	TABLE_UPDATE,
	TABLE_CHECK,
	TABLE_LOOKUP,
	TABLE_FETCH,
	TABLE_UNKNOWN /* operation */
};

enum tableline_service {
	SERVICE_OTHER,
	SERVICE_AUTH,
	SERVICE_CREDENTIALS,
	SERVICE_NETADDR
};

/* Points into the line that it was read from. */
struct tableline {
	enum tableline_kind    kind;
	enum tableline_service service;
	const char	      *name; /* operation or config key */
	const char	      *id;
	const char	      *key; /* or the value: "" when none */
};

/*
 * Parses a line in place.  NULL if it is well formed, else what is wrong with
 * it; then it has no valid id, and cannot be answered.
 */
const char *tableline_parse(char *line, size_t len, struct tableline *);

#endif /* TABLELINE_H */
