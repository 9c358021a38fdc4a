/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SUPPRESSED_H
#define SUPPRESSED_H

struct domains;
struct servers;
struct suppressed_query;
struct tx;

/*
 * Recipients that get no mail from a user, or from an account: addresses and
 * whole domains, in sorted sets of Redis.  The score is when an entry ends, in
 * seconds since 1970; +inf, 0 or less mean never.  The scores of two or four
 * members are asked for, however long the lists are.
 */

enum suppressed_result {
	SUPPRESSED_NOT,
	SUPPRESSED_ALL,	  /* all mail to the recipient */
	SUPPRESSED_UNREAD /* Redis is unreachable */
};

typedef void (*suppressed_cb)(void *, enum suppressed_result);

/*
 * Reads a recipient, which smtpd writes without angle brackets; like smtpd,
 * ignores a route before a colon (RFC 5321 4.1.1.3).  Sets its domain, with the
 * address if the local part is a dot-atom; nothing if there is no domain or the
 * local part has quotes.
 */
void suppressed_read(struct domains *, const char *recipient);

/*
 * Asks whether a recipient that was read is on the lists of the message's user
 * and account.  Calls back exactly once, from the event loop.  NULL, without a
 * callback, when Redis is unreachable.
 */
struct suppressed_query *suppressed_ask(struct servers *, const char *prefix,
    const struct tx *, const struct domains *, suppressed_cb, void *);

/* Cancels it: the callback is not called. */
void suppressed_cancel(struct suppressed_query *);

#endif /* SUPPRESSED_H */
