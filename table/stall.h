/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef STALL_H
#define STALL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How long smtpd has lately waited for wrong passwords.  This drains at a
 * steady rate, so that in the long run they take no more than that share of the
 * time. All zeros at first; times are in microseconds, monotonic.
 */
struct stall {
	int64_t owed;
	int64_t when;
};

/* They may take 1/STALL_SHARE of the time. */
#define STALL_SHARE 100

/* And this much at once. */
#define STALL_MAX 500000

/* Adds a wait that ends now. */
void stall_add(struct stall *, int64_t now, int64_t took);

/* Whether that is used up. */
bool stall_exhausted(struct stall *, int64_t now);

#endif /* STALL_H */
