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
struct user;
struct writequeue;

/*
 * Counts for alarms (lib/alarm.h): messages together with their reservation,
 * everything else in calls that nobody waits for.
 */

/* What they are counted with. */
struct alarms {
	const struct conf *conf;
	struct writequeue *writequeue;
};

/* Most recipients of a message, if different recipients are counted. */
#define ALARMS_RECIPIENTS 10000

/* Digests of the recipients of a message, as text. */
struct alarms_digests {
	char  *text; /* NULL: none */
	size_t n, room;
};

/* The limits of a user: the user's, the account's, the configuration's. */
void
alarms_limits(const struct conf *, const struct user *, struct alarm_limits *);

/* Whether there is an alarm of a kind, and whether one counts messages. */
bool alarms_count(const struct alarm_limits *, enum alarm_kind);
bool alarms_count_messages(const struct alarm_limits *);

/*
 * Adds a recipient; case does not matter.  False when out of memory.
 */
bool alarms_add(struct alarms_digests *, const char *recipient);

/* Remove the last recipient, or all. */
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

/* Writes the values of the tag; the domains are in the tag "senders". */
void alarms_write(const struct conf *, const struct alarms_message *,
    struct alarms_words *);

/*
 * Count a source that a user has logged in from, or a blocked message.  Never
 * wait: the count is kept until Redis has it, and counts once.
 */
void alarms_login(const struct alarms *, const char   *user,
    const struct alarm_limits *, const struct netaddr *source);
void alarms_blocked(const struct alarms *, const char *user,
    const struct alarm_limits *);

/* Counts recipients that next hops have refused. */
void alarms_failed(const struct alarms *, const char *user,
    const struct alarm_limit *, size_t		      recipients);

/*
 * Logs an event if it is that of an alarm: the words are "alarm." and its kind,
 * then figures by name.
 */
void alarms_tell(const char *user, const struct quota_words *);

#endif /* ALARMS_H */
