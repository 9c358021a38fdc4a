/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef REPORT_H
#define REPORT_H

#include <stddef.h>

#include "reason.h"
#include "reportid.h"

struct conf;
struct report_query;
struct servers;
struct session;
struct writequeue;

/* Longest reply that names a report, with its NUL. */
#define REPORT_REPLY 512

/* Days that a report is kept in Redis. */
#define REPORT_DAYS 30

/* What is needed to write reports; all must outlive the queries. */
struct reports {
	const struct conf *conf;
	struct servers	  *servers;
	struct writequeue *writequeue;
	struct reportids  *ids;
};

/* Why a message is blocked; the session, and its message, say the rest. */
struct report {
	enum reason reason;
	const char *user;
	const char *account; /* the user's, or NULL */
	const char *domain;  /* that is not allowed, or NULL */
	const char *spf;     /* its record, or NULL */
};

/* Gets the id of the report, or NULL if it could not be written. */
typedef void (*report_cb)(void *, const char *id);

/*
 * Writes a report to Redis, as report:{ID}.  If the user, or the account, has
 * caused too many reports, writes none, and calls back with the user's last id.
 * Calls back exactly once within redis_timeout, perhaps before it returns.
 * Until then *slot points to the query, afterwards it is NULL.
 */
void report_write(const struct reports *, const struct session *,
    const struct report *, report_cb, void *, struct report_query **slot);

/* Cancels and frees it: the callback is not called. */
void report_cancel(struct report_query *);

/* Writes the reply that sends a blocked sender to the report. */
const char *report_reply(const struct conf *, const char *id, const char *user,
    char[REPORT_REPLY]);

#endif /* REPORT_H */
