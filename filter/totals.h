/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef TOTALS_H
#define TOTALS_H

#include <stdint.h>

#include "reason.h"

struct conf;
struct event_base;
struct functions;
struct servers;
struct totals;

/*
 * Who sends what, added up by hour, in UTC: stats:{HOUR}, a hash of counts by
 * event, result and reason, and top:{HOUR}:..., sorted sets of the users and the
 * accounts who send most.
 *
 * Nothing is written when something happens.  It is counted here, and what has
 * come together is written once a second by scripts/functions/11-totals.lua: a
 * batch has a number, so that one whose reply was lost is sent again and counts
 * once.  While Redis is away it goes on adding up.  A filter that ends loses
 * what it has not written, at most a second's while there is a Redis.
 */

/* Hours that wait for Redis at most; the oldest is given up, and logged. */
#define TOTALS_HOURS 24

/*
 * Users and accounts that wait for Redis at most, about 200 bytes each; those
 * who come beyond are missing in the sorted sets, which is logged.
 */
#define TOTALS_NAMES 65536

enum totals_event {
	TOTALS_CONNECTION,
	TOTALS_LOGIN,
	TOTALS_MESSAGE,
	TOTALS_RECIPIENT, /* of messages; or refused */
	TOTALS_BYTES,	  /* of messages */
	TOTALS_EVENTS
};

enum totals_result {
	TOTALS_ACCEPTED,
	TOTALS_SANDBOXED, /* accepted, and goes nowhere */
	TOTALS_TRUSTED,	  /* accepted unchecked, of a local session */
	TOTALS_FAILED,	  /* by smtpd, after we had accepted it */
	TOTALS_DEFERRED,  /* refused by a 4xx reply, RFC 5321 4.2.1 */
	TOTALS_REFUSED,	  /* by a 5xx reply */
	TOTALS_RESULTS
};

/* What a user has done. */
struct totals_share {
	uint64_t messages; /* accepted, sandboxed ones too */
	uint64_t recipients;
	uint64_t bytes;
	uint64_t blocks; /* messages refused by a 5xx reply */
};

/* EVENT:RESULT, or with a reason, EVENT:RESULT:REASON, and the NUL. */
#define TOTALS_FIELD 64

/* NULL when out of memory. */
struct totals *totals_new(struct event_base *);

/* Writes by these from now on. */
void totals_use(struct totals *, const struct conf *, struct servers *,
    struct functions *);

/* Drops what is not written yet. */
void totals_free(struct totals *);

/* Counts so many; REASON_NONE where there is no reason, or none is known. */
void totals_count(struct totals *, enum totals_event, enum totals_result,
    enum reason, uint64_t);

/*
 * Adds to what a user has done, and the user's account, "" for none.  Only the
 * name of a user who is there may be given: there are as many of these as an
 * operator has made.
 */
void totals_add(struct totals *, const char *user, const char *account,
    const struct totals_share *);

/*
 * What has been counted since the start of the program, written or not: calls
 * with each field of stats:{HOUR} that is not 0.
 */
void totals_each(const struct totals *,
    void (*)(void *, const char *field, uint64_t), void *);

#endif /* TOTALS_H */
