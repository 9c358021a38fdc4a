/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef ALARMS_H
#define ALARMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alarm.h"
#include "domain.h"
#include "netaddr.h"
#include "quota.h"

struct conf;
struct filter;
struct user;

/*
 * What alarms count of a user, lib/alarm.h: of messages along with the
 * reservation of each, of the rest in calls that nobody waits for.
 */

/* Recipients of a message at most, where different ones are counted. */
#define ALARMS_RECIPIENTS 10000

/* Digests of the recipients of a message, as text. */
struct alarms_digests {
	char  *text; /* NULL: none */
	size_t n, room;
};

/* The limits of a user: the user's, the account's, the configuration's. */
void
alarms_limits(const struct conf *, const struct user *, struct alarm_limits *);

/* Whether they count a kind, and whether they count anything of messages. */
bool alarms_count(const struct alarm_limits *, enum alarm_kind);
bool alarms_count_messages(const struct alarm_limits *);

/*
 * Adds a recipient, the same whatever its letters' case is.  False when
 * out of memory.
 */
bool alarms_add(struct alarms_digests *, const char *recipient);

/* Takes away the one that came last, and all. */
void alarms_drop(struct alarms_digests *);
void alarms_clear(struct alarms_digests *);

/* The values of the tag "alarms" of a reservation, and what these point to. */
#define ALARMS_VALUES 4

struct alarms_words {
	char	    plan[512];
	char	    source[NETADDR_TEXT];
	char	    number[24];
	const char *values[ALARMS_VALUES];
};

/* What is counted of a message. */
struct alarms_message {
	const struct alarm_limits   *limits;
	const struct netaddr	    *source;
	size_t			     recipients;
	const struct alarms_digests *digests;
};

/* Writes what is counted, by what; the tag "senders" has the domains. */
void alarms_write(const struct conf *, const struct alarms_message *,
    struct alarms_words *);

/*
 * Counts a source that a user has logged in from, or a message blocked.  Nobody
 * waits for it; it is counted once there is a Redis, and once.
 */
void alarms_login(struct filter *, const char	      *user,
    const struct alarm_limits *, const struct netaddr *source);
void
alarms_blocked(struct filter *, const char *user, const struct alarm_limits *);

/* Counts recipients that next hops have refused. */
void alarms_failed(struct filter *, const char *user,
    const struct alarm_limit *, size_t		recipients);

/*
 * Logs an event, if it is that of an alarm that has been set off: words are
 * "alarm." and its kind, and then figures by name.
 */
void alarms_tell(const char *user, const struct quota_words *);

#endif /* ALARMS_H */
