/*
 * Copyright (c) 2026 The smtpusers authors
 *
 * Permission to use, copy, modify, and distribute this software for any
 * purpose with or without fee is hereby granted, provided that the above
 * copyright notice and this permission notice appear in all copies.
 *
 * THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
 * WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
 * MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
 * ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
 * WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
 * ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
 * OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
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
