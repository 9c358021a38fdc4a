/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef FILTERLINE_H
#define FILTERLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* smtpd-filters(7), protocol 0.7: the lines that smtpd sends to a filter. */

enum filterline_kind {
	LINE_CONFIG,
	LINE_REPORT,
	LINE_REQUEST
};

enum filterline_event {
	EV_UNKNOWN,
	/* reports */
	EV_LINK_CONNECT,
	EV_LINK_AUTH,
	EV_LINK_DISCONNECT,
	EV_TX_BEGIN,
	EV_TX_MAIL,
	EV_TX_RCPT,
	EV_TX_DATA,
	EV_TX_COMMIT,
	EV_TX_ROLLBACK,
	EV_TX_RESET,
	EV_PROTOCOL_CLIENT,
	EV_PROTOCOL_SERVER,
	/* requests */
	EV_CONNECT,
	EV_AUTH,
	EV_MAIL_FROM,
	EV_RCPT_TO,
	EV_DATA,
	EV_DATA_LINE,
	EV_COMMIT
};

/* Points into the line that it was read from. */
struct filterline {
	enum filterline_kind  kind;
	enum filterline_event event; /* not for LINE_CONFIG */
	const char	     *name;  /* of the event or config key */
	bool		      out;   /* of smtp-out: LINE_REPORT */
	uint64_t	      session;
	uint64_t	      token;  /* LINE_REQUEST */
	char		     *params; /* the rest, up to the line's end */
};

/*
 * Reads a line, cutting it up in place.  NULL when it is well formed, else
 * what is wrong with it.  Its event may be EV_UNKNOWN.
 */
const char *filterline_parse(char *line, size_t len, struct filterline *);

/* Offset of the message's own text in what filterline_data() returns. */
#define FILTERLINE_DATA_TEXT 34

/*
 * The start that all data-line requests of a message have in common, kept from
 * one to the next.  All zeros at first.
 */
struct filterline_run {
	uint64_t session; /* of the last data-line request */
	char	 head[19 + FILTERLINE_DATA_TEXT];
};

/*
 * Recognises a well-formed data-line request without changing or copying it.
 * Returns a pointer to the session's id in the line, at least 26 bytes into it:
 * the answer is "filter-dataline|" and the line from there on.  Sets the
 * session's id in the run.  NULL for any other line.
 */
const char *
filterline_data(const char *line, size_t len, struct filterline_run *);

/*
 * Splits the parameters of link-connect: rdns|fcrdns|source|destination.  The
 * name from the DNS may hold anything, so fields are counted from the right.
 * Returns the source, or "" if there are too few fields.
 */
const char *filterline_source(char *params);

#endif /* FILTERLINE_H */
