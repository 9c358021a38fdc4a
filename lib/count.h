/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef COUNT_H
#define COUNT_H

#include <stdbool.h>
#include <stdint.h>

/* Most that is counted: 10^12. */
#define COUNT_MAX 1000000000000

/*
 * Reads a number from 0 to COUNT_MAX in decimal digits, with any number of
 * zeros before it, and nothing else.
 */
bool count_parse(const char *, int64_t *);

/* The same in bytes, or, with K, M or G behind it, in units of 1024, ... bytes. */
bool size_parse(const char *, int64_t *);

#endif /* COUNT_H */
