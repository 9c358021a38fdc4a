/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef REDISFMT_H
#define REDISFMT_H

#include <stddef.h>

/*
 * Writes a command as Redis takes it, an array of bulk strings, without a NUL
 * behind it.  Without lens the strings end at their NULs.  Into the buffer
 * where it fits, else into memory that is to be freed.  Returns where it is and how long, NULL when memory is short.
 */
char *redisfmt(int argc, const char **argv, const size_t *lens, char *buf,
    size_t size, size_t *len);

#endif /* REDISFMT_H */
