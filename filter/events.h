/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef EVENTS_H
#define EVENTS_H

#include <stddef.h>

struct conf;
struct quota_words;
struct writequeue;

/*
 * events, a stream of what people should be told, by `smtpusers events` and by
 * smtpusers-hook(8).  The time of an entry is its id.  Fields:
 *
 *	id	drawn by who adds the event: one that had to be written again,
 *		because a reply was lost, stands there twice with the same
 *	kind	what happened, such as limit.reached: smtpusers-schema(7)
 *	user, account
 *		whom it is about, left out where there is none
 *	relay	relay_name of the configuration
 *
 * and the figures of the kind.  Who adds events sees to it that no client can
 * cause more than a few: the stream is capped, and one that comes often pushes
 * those of others out.
 */

/* Entries that the stream keeps, about. */
#define EVENTS_MAX 10000

/* Figures of an event at most; what is more is left out. */
#define EVENTS_FIGURES 8

/* One more field of an event; value is text. */
struct events_figure {
	const char *name;
	const char *value; /* NULL or "": left out */
};

/*
 * Adds an event.  It is copied, kept while Redis is away, and never waited for.
 * user and account may be NULL or "".
 */
void events_add(struct writequeue *, const struct conf *, const char *kind,
    const char *user, const char *account, size_t n,
    const struct events_figure *);

/*
 * Adds one that the Redis functions want told: the kind first, then figures by
 * name, of which one called account says whose a user is.  account is "" where
 * the event is the user's; else it is the account's, whoever the user was.
 */
void events_tell(struct writequeue *, const struct conf *, const char *user,
    const char *account, const struct quota_words *);

#endif /* EVENTS_H */
