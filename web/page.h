/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef PAGE_H
#define PAGE_H

#include <stdbool.h>
#include <stdio.h>

struct conf;
struct language;

/* The fields of a report that are shown, in this order; see page_fields. */
enum page_field {
	PAGE_REASON,
	PAGE_TIME,
	PAGE_RELAY,
	PAGE_USER,
	PAGE_ACCOUNT,
	PAGE_DOMAIN,
	PAGE_SPF,
	PAGE_ENVELOPE_SENDER,
	PAGE_FROM,
	PAGE_SOURCE,
	PAGE_MESSAGE_ID,
	PAGE_MSGID,
	PAGE_FIELDS
};

/* Their names in Redis, smtpusers-schema(7). */
extern const char *const page_fields[PAGE_FIELDS];

/*
 * The only style sheet that the browser may use, and its SHA-256 in base64, by
 * which it recognises it.
 */
extern const char page_style[], page_style_digest[];

/* Most of its text comes from strangers. */
struct page_report {
	const char *id;
	const char *field[PAGE_FIELDS]; /* "": there is none */
};

/* What is shown instead of a report, and its HTTP status. */
enum page_error {
	PAGE_NOT_FOUND,	  /* 404 */
	PAGE_NOT_ALLOWED, /* 405 */
	PAGE_UNAVAILABLE, /* 503 */
	PAGE_BROKEN	  /* 500 */
};

/* How to show it. */
struct page_form {
	const struct conf     *conf; /* NULL: it could not be read */
	const struct language *language;
	bool		       json; /* or HTML */
	bool		       head; /* no body */
};

/*
 * Write a complete response, RFC 3875 6: header fields and body.  Text of
 * strangers never gets into the header, and gets into the body only as by
 * escape.h.
 */
void page_report(FILE *, const struct page_form *, const struct page_report *);
void page_error(FILE *, const struct page_form *, enum page_error);

#endif /* PAGE_H */
