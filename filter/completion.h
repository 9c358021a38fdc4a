/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef COMPLETION_H
#define COMPLETION_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether smtpd, which gets the message after the filter, may change a From
 * value, folds being LF.  It splits the value at commas, and adds "@" and the
 * name of its host to each part without "@" and ":".  It does not know quoted
 * pairs in quoted strings, and so may be wrong about where a string ends.
 */
bool completion_alters(const char *, size_t);

#endif /* COMPLETION_H */
