/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef REDISFMT_H
#define REDISFMT_H

#include <stddef.h>

/* How many bytes a command of strings needs at most. */
size_t redisfmt_size(int argc, const char **argv);

/*
 * Writes it as Redis takes it, an array of bulk strings, without a NUL behind
 * it, into a buffer with room for that.  Returns how many bytes it is.
 */
size_t redisfmt(int argc, const char **argv, char *buf);

#endif /* REDISFMT_H */
