/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef STALL_H
#define STALL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How long wrong passwords have made smtpd stand still of late.  It runs out
 * at a steady rate, so that in the long run they have no more than that share
 * of the time.  All zeros at first; times are in microseconds, monotonic.
 */
struct stall {
	int64_t owed;
	int64_t when;
};

/* The share of the time that they have: one part of so many. */
#define STALL_SHARE 50

/* What they may take at once. */
#define STALL_MAX 2000000

/* Adds a wait that ends now. */
void stall_add(struct stall *, int64_t now, int64_t took);

/* Whether their share is used up. */
bool stall_exhausted(struct stall *, int64_t now);

#endif /* STALL_H */
