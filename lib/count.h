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

/*
 * Reads a number from 0 to COUNT_MAX in decimal digits, with any number of
 * zeros before it, and nothing else.
 */
bool count_parse(const char *, int64_t *);

/*
 * Reads a number of bytes, or, with K, M or G behind it, of 2^10, 2^20 or 2^30
 * bytes.
 */
bool size_parse(const char *, int64_t *);

#endif /* COUNT_H */
