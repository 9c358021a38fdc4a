/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef TALLY_H
#define TALLY_H

#include <stdint.h>

/*
 * Counters and gauges of this process, and the time that Redis takes to reply,
 * for monitoring.  For the thread of the event loop only.
 *
 * They are the process's own, like its log: nothing is ever decided by them, and
 * a struct would go through each call down to lib/redisconn, to be added to.
 */

enum tally {
	/* Of the filter. */
	TALLY_SESSIONS, /* open now */
	TALLY_CONNECTIONS,
	TALLY_CONNECTIONS_REFUSED,
	TALLY_LOGINS_ACCEPTED,
	TALLY_LOGINS_REFUSED, /* by us, though the password is right */
	TALLY_LOGINS_FAILED,
	TALLY_MESSAGES_ACCEPTED,
	TALLY_MESSAGES_SANDBOXED, /* accepted, and delivered nowhere */
	TALLY_MESSAGES_TRUSTED,	  /* accepted from smtpd's own socket */
	TALLY_MESSAGES_REFUSED,	  /* for good */
	TALLY_MESSAGES_DEFERRED,
	TALLY_MESSAGES_FAILED, /* accepted by us, and not by smtpd */
	TALLY_RECIPIENTS_REFUSED,
	TALLY_TEMPORARY_FAILURES, /* replies: it could not be decided */
	TALLY_WRITES_WAITING,	  /* entries, now */
	TALLY_WRITES_LOST,
	TALLY_ALARMS, /* events of these kinds */
	TALLY_LIMITS_REACHED,
	TALLY_SPF_QUESTIONS, /* to the DNS */
	TALLY_SPF_FAILURES,
	/* Of the table: its answers. */
	TALLY_LOOKUPS_FOUND,
	TALLY_LOOKUPS_NOT_FOUND,
	TALLY_LOOKUPS_FAILED,
	/* Of both. */
	TALLY_REDIS_REQUESTS, /* that had a reply */
	TALLY_REDIS_UNANSWERED,
	TALLY_REDIS_TIME, /* of these requests together, microseconds */
	NTALLIES
};

extern int64_t tallies[NTALLIES];

static inline void
tally_add(enum tally which, int64_t n)
{
	tallies[which] += n;
}

/* Counts a reply of Redis, which took so many microseconds. */
void tally_redis(int64_t us);

/* Call this every ten seconds: the last minute consists of six such parts. */
void tally_turn(void);

/* The increase in the last minute, or since the process began. */
int64_t tally_minute(enum tally);

/*
 * Microseconds that replies of the last minute took: the median, the 99th
 * percentile and the worst.  The first two are exact within an eighth.
 */
struct tally_latency {
	uint64_t replies; /* 0: there were none, nor are there times */
	int64_t	 median;
	int64_t	 p99;
	int64_t	 worst;
};

struct tally_latency tally_latency(void);

#endif /* TALLY_H */
