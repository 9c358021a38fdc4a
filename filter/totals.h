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
 * Totals of each hour in UTC: stats:{HOUR}, a hash of counts by event, result
 * and reason, and top:{HOUR}:..., sorted sets of the users and accounts who
 * send most.
 *
 * Counts are added up here, and written once a second by
 * scripts/functions/11-totals.lua.  A batch has a number, so that a repeated
 * one counts once.  While Redis is unreachable, counting goes on.  A filter
 * that ends loses what it has not written, at most a second's counts if Redis
 * is reachable.
 */

/* Most hours that wait for Redis; then the oldest is dropped, and logged. */
#define TOTALS_HOURS 24

/*
 * Most users and accounts that wait for Redis, about 200 bytes each; further
 * ones are missing in the sorted sets, which is logged.
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

/* Uses these from now on. */
void totals_use(struct totals *, const struct conf *, struct servers *,
    struct functions *);

/* Drops what is not written yet. */
void totals_free(struct totals *);

/* Adds to a count; REASON_NONE if there is no reason. */
void totals_count(struct totals *, enum totals_event, enum totals_result,
    enum reason, uint64_t);

/*
 * Adds to the counts of a user, and of the user's account, which may be "".
 * The user must exist, so that strangers cannot add names.
 */
void totals_add(struct totals *, const char *user, const char *account,
    const struct totals_share *);

/*
 * Calls back with the counts since the start of the program, as fields of
 * stats:{HOUR}, that are not 0.
 */
void totals_each(const struct totals *,
    void (*)(void *, const char *field, uint64_t), void *);

#endif /* TOTALS_H */
