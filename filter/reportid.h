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
 * A report costs its sender nothing and is kept for weeks.  So a user gets a
 * burst of reports, then one in so many seconds, and the users of an account
 * together twice as many.  The first report of each user is always written.
 */
#define REPORTID_BURST 1000
#define REPORTID_SECONDS 60
#define REPORTID_ACCOUNT_BURST 2000
#define REPORTID_ACCOUNT_SECONDS 30

/* Most users and accounts; the one blocked longest ago is forgotten. */
#define REPORTID_NAMES 10000

struct reportids;

/* NULL when out of memory. */
struct reportids *reportids_new(void);
void		  reportids_free(struct reportids *);

/*
 * Draws the id of a report about a message of the user, at a time in seconds;
 * the account may be "".  True: random decimal digits, which relays need not
 * agree on.  False: no report must be written, since there were too many, and
 * the id is that of the user's last report.
 */
bool reportids_draw(struct reportids *, const char *user, const char *account,
    time_t, char[REPORT_ID + 1]);

/* The report with a drawn id was written, and is the user's last. */
void reportids_written(struct reportids *, const char *user, const char *id);

/* It could not be written, and does not count. */
void
reportids_failed(struct reportids *, const char *user, const char *account);

#endif /* REPORTID_H */
