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
 * What becomes of the reservations of filter/quota.h.  Charges are written by the
 * queue, with nobody waiting.
 */

/* What was reserved stays charged.  The account is that of the question. */
void charges_keep(const struct quotas *, const char *user, const char *account,
    const char *id);

/* Gives it back, at once or when there is a Redis again. */
void charges_refund(const struct quotas *, const char *user,
    const char *account, const char *id);

/*
 * The same of the user's part, or the account's, whose name it is.  unheard:
 * nobody knows what the reservation was answered, nor whether it was made.
 */
void charges_take_back(const struct quotas *, enum part_kind, const char *user,
    const char *name, const char *id, bool unheard);

/*
 * Takes what the functions answer to charges: what is to be told is told, what
 * cannot be read is logged, and what older functions have answered is asked for
 * again, since they may not have counted it.  The quotas stay, and so does their
 * queue.
 */
void charges_watch(struct quotas *);

#endif /* CHARGES_H */
