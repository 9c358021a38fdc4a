/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef COUNT_H
#define COUNT_H

#include <stdbool.h>
#include <stdint.h>

/* The largest number: 10^12. */
#define COUNT_MAX 1000000000000

/* Each of these leaves the number as it is where the text is refused. */

/*
 * Reads decimal digits, a number from 0 to max, which is COUNT_MAX at most, with
 * any number of zeros before it.  Returns what is behind them, or NULL.
 */
const char *digits_parse(const char *, int64_t max, int64_t *);

/* Reads digits, a number from 0 to COUNT_MAX, and nothing else. */
bool count_parse(const char *, int64_t *);

/*
 * Reads a number of bytes, or, with K, M or G behind it, of 2^10, 2^20 or 2^30
 * bytes.
 */
bool size_parse(const char *, int64_t *);

#endif /* COUNT_H */
