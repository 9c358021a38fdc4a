/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef MONOTONIC_H
#define MONOTONIC_H

#include <stdint.h>
#include <time.h>

/*
 * Time since some moment before the program started, which only grows:
 * CLOCK_MONOTONIC of clock_gettime(2).
 */
int64_t monotonic_us(void); /* microseconds */
int64_t monotonic_ms(void); /* milliseconds */
time_t	monotonic_s(void);  /* seconds */

#endif /* MONOTONIC_H */
