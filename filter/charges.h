/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef CHARGES_H
#define CHARGES_H

#include <stdbool.h>

#include "quotakeys.h"

struct quotas;

/*
 * Settles the reservations of filter/quota.h.  Charges go through the write
 * queue; no session waits for them.
 */

/* Makes a reservation permanent.  The account is that of the question. */
void charges_keep(const struct quotas *, const char *user, const char *account,
    const char *id);

/* Gives a reservation back, as soon as Redis is reachable. */
void charges_refund(const struct quotas *, const char *user,
    const char *account, const char *id);

/*
 * Gives back one part of a reservation: that of the user or the account of this
 * name.  unheard: its answer has not arrived, so it may or may not have been
 * made, and the events in that answer must still be written.
 */
void charges_take_back(const struct quotas *, enum charged, const char *user,
    const char *name, const char *id, bool unheard);

/*
 * Handles the replies to charges that the write queue sends, for which no
 * session waits: writes the events in them, logs counters that cannot be read,
 * and repeats charges that an older library has answered, since it may not have
 * counted them.  The quotas and their queue must outlive this.
 */
void charges_watch(struct quotas *);

#endif /* CHARGES_H */
