/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef REPORTID_H
#define REPORTID_H

#include <stdbool.h>
#include <time.h>

/* Digits of a report's id. */
#define REPORT_ID 18

/*
 * A report costs its sender nothing and is kept for weeks: so many in a row a
 * user may cause, then one more in so many seconds.
 */
#define REPORTID_BURST 1000
#define REPORTID_SECONDS 60

/* Users remembered; above it the one who was blocked longest ago is not. */
#define REPORTID_USERS 10000

struct reportids;

/* NULL when memory is short. */
struct reportids *reportids_new(void);
void		  reportids_free(struct reportids *);

/*
 * Writes an id for a report about a message of the user's, at a time in
 * seconds: true, and decimal digits at random, so that relays need not agree
 * on the next one; or false, and the id of the user's last report, if the user
 * has caused too many for another one to be written.
 */
bool reportids_draw(struct reportids *, const char *user, time_t,
    char[REPORT_ID + 1]);

#endif /* REPORTID_H */
