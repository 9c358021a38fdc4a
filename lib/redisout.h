/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef REDISOUT_H
#define REDISOUT_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>

struct stream;

/*
 * Commands that a connection has not sent yet.  They may hold passwords, so
 * each byte is wiped once it was sent.  All zeros at first.
 */
struct redisout {
	char  *buf;
	size_t size;
	size_t off; /* where the unsent bytes begin */
	size_t len; /* where they end */
};

/*
 * Appends a command of strings.  False, with nothing appended, when out of
 * memory or if too many bytes are not sent yet.
 */
bool redisout_add(struct redisout *, int argc, const char **argv);

/*
 * Sends as much as possible without blocking.  Returns what the last
 * stream_write() did, or 0 if there was nothing to send.
 */
ssize_t redisout_send(struct redisout *, struct stream *);

/* Wipes and frees the buffer; the struct can be used again. */
void redisout_wipe(struct redisout *);

#endif /* REDISOUT_H */
