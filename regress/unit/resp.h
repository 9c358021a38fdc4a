/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef RESP_H
#define RESP_H

#include <hiredis/hiredis.h>
#include <stddef.h>

/*
 * Replies as Redis writes them.  What is returned is good until the same has
 * been called eight times more.
 */

/* Longest of them, with its NUL. */
#define RESP_TEXT 16384

/* A string; nil where it is NULL. */
const char *resp_string(const char *);

/* An array of such. */
const char *resp_array(const char *const *, size_t);

/* What hiredis makes of len bytes, to be freed. */
redisReply *resp_read(const char *bytes, size_t len);

#endif /* RESP_H */
