/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef PERIOD_H
#define PERIOD_H

#include <stdbool.h>
#include <stdint.h>

/* Longest period: ten years, in seconds. */
#define PERIOD_MAX (3650LL * 86400)

/* Most that a rate allows in its period. */
#define RATE_MAX 1000000

/*
 * Reads a period of time as users and the configuration write it: a number
 * of seconds, or a number followed by s, m, h, d or w.  Zero, signs, spaces
 * and anything over PERIOD_MAX are errors.  The result is in seconds, and
 * stays as it was where the text is refused.
 */
bool period_parse(const char *, int64_t *);

/*
 * Reads a rate, "20/10m": a number from 1 to RATE_MAX, and a period in seconds.
 * Both stay as they were where the text is refused.
 */
bool rate_parse(const char *, int64_t *count, int64_t *seconds);

#endif /* PERIOD_H */
