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
 * user may cause, then one more in so many seconds; and the users of an account
 * together twice as many.  The first of each user is written in any case.
 */
#define REPORTID_BURST 1000
#define REPORTID_SECONDS 60
#define REPORTID_ACCOUNT_BURST 2000
#define REPORTID_ACCOUNT_SECONDS 30

/* Users and accounts remembered; who was blocked longest ago makes room. */
#define REPORTID_NAMES 10000

struct reportids;

/* NULL when out of memory. */
struct reportids *reportids_new(void);
void		  reportids_free(struct reportids *);

/*
 * Writes an id for a report about a message of the user's, at a time in
 * seconds; the account may be "".  True: decimal digits at random, so that
 * relays need not agree on the next one.  False: the id of the user's last
 * report, since too many have been caused for another one to be written.
 */
bool reportids_draw(struct reportids *, const char *user, const char *account,
    time_t, char[REPORT_ID + 1]);

/* The report of an id that was drawn is there: it is the user's last. */
void reportids_written(struct reportids *, const char *user, const char *id);

/* It could not be written, and does not count. */
void
reportids_failed(struct reportids *, const char *user, const char *account);

#endif /* REPORTID_H */
