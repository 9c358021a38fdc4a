/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef REPORT_H
#define REPORT_H

#include <stddef.h>

#include "reportid.h"

struct conf;
struct filter;
struct session;
struct user;
struct verdict;

/* Longest reply that names a report, with its NUL. */
#define REPORT_REPLY 512

/* Days that a report is kept in Redis. */
#define REPORT_DAYS 30

/*
 * Writes the report on a message that is blocked to Redis, as report:{ID}, and
 * its id; or the id of the report before, where the user has caused too many.
 * user is NULL when there is none any more.
 */
void report_write(struct filter *, const struct session *, const struct user *,
    const struct verdict *, char[REPORT_ID + 1]);

/* Writes the reply that sends a blocked sender to the report. */
const char *report_reply(const struct conf *, const char *id, const char *user,
    char[REPORT_REPLY]);

#endif /* REPORT_H */
