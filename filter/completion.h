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
 * value, folds being LF: it splits it at commas, and adds "@" and the name of
 * its host to each part in which it sees no "@" and no ":".  It does not know
 * quoted pairs in quoted strings there, so that it may take what is in one for
 * outside, and the reverse.
 */
bool completion_alters(const char *, size_t);

#endif /* COMPLETION_H */
