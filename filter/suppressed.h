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
 * whole domains, in sorted sets of Redis.  The score of each is until when, in
 * seconds since 1970; +inf, 0 or less: without an end.  Of two or four members
 * the score is asked for, however many there are.
 */

enum suppressed_result {
	SUPPRESSED_NOT,
	SUPPRESSED_ALL,	  /* all mail to the recipient */
	SUPPRESSED_UNREAD /* Redis gives no answer */
};

typedef void (*suppressed_cb)(void *, enum suppressed_result);

/*
 * Reads a recipient, as smtpd writes it without its angle brackets and reads
 * it: what is before a colon is a route (RFC 5321 4.1.1.3).  Leaves a domain,
 * with an address where the local part is a dot-atom; nothing where there is no
 * domain, or where quotes hide what the local part is.
 */
void suppressed_read(struct domains *, const char *recipient);

/*
 * Asks whether a recipient that was read is among those of the user and the
 * account of a message, as far as these have any.  Calls back exactly once,
 * from the event loop.  NULL, without a callback, when Redis cannot be
 * asked.
 */
struct suppressed_query *suppressed_ask(struct servers *, const char *prefix,
    const struct tx *, const struct domains *, suppressed_cb, void *);

/* Cancels it: the callback is not called. */
void suppressed_cancel(struct suppressed_query *);

#endif /* SUPPRESSED_H */
