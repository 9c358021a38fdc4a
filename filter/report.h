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
struct journal;
struct session;

/* Longest reply that names a report, with its NUL. */
#define REPORT_REPLY 512

/* Days that a report is kept in Redis. */
#define REPORT_DAYS 30

/* Why a message is blocked; the session, and its message, say the rest. */
struct report {
	enum reason reason;
	const char *user;
	const char *account; /* the user's, or NULL */
	const char *domain;  /* that is not allowed, or NULL */
	const char *spf;     /* its record, or NULL */
};

/*
 * Writes a report to Redis, as report:{ID}, and its id; or the id of the
 * report before, where the user has caused too many.
 */
void report_write(struct journal *, struct reportids *, const struct conf *,
    const struct session *, const struct report *, char[REPORT_ID + 1]);

/* Writes the reply that sends a blocked sender to the report. */
const char *report_reply(const struct conf *, const char *id, const char *user,
    char[REPORT_REPLY]);

#endif /* REPORT_H */
