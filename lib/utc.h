/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef UTC_H
#define UTC_H

#include <stdbool.h>
#include <time.h>

/* 2026-11-21T08:39:29Z, for every year of four digits. */
#define UTC_TEXT 24

/* The time as RFC 3339 writes it, in UTC; empty where it cannot be written. */
void utc_text(time_t, char[UTC_TEXT]);

/* Whether a text is a time as utc_text() writes it, and not after now. */
bool utc_passed(const char *, time_t now);

/* Whether a text is a time as utc_text() writes it. */
bool utc_valid(const char *);

#endif /* UTC_H */
