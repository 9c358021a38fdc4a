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
 * events, a stream that `smtpusers events` shows and smtpusers-hook(8)
 * delivers. The time of an entry is its id.  Fields:
 *
 *	id	random; an event that was written again, because a reply was
 *		lost, is there twice with the same id
 *	kind	what happened, such as limit.reached: smtpusers-schema(7)
 *	user, account
 *		concerned, if any
 *	relay	relay_name of the configuration
 *
 * and the figures of the kind.  The stream is capped: callers must let no
 * client cause more than a few events, which would push out those of others.
 */

/* About how many entries the stream keeps. */
#define EVENTS_MAX 10000

/* Most figures of an event; further ones are left out. */
#define EVENTS_FIGURES 8

/* One more field of an event; value is text. */
struct events_figure {
	const char *name;
	const char *value; /* NULL or "": left out */
};

/*
 * Adds an event, which is copied.  Never waits: the event is kept until Redis
 * has it.  user and account may be NULL or "".
 */
void events_add(struct writequeue *, const struct conf *, const char *kind,
    const char *user, const char *account, size_t n,
    const struct events_figure *);

/*
 * Adds an event that a Redis function has replied: the kind, then figures by
 * name, of which "account" is the user's account.  The event is about the user
 * if account is "", else about that account.
 */
void events_tell(struct writequeue *, const struct conf *, const char *user,
    const char *account, const struct quota_words *);

#endif /* EVENTS_H */
