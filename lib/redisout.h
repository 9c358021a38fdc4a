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
 * Commands that a connection has still to send.  They may hold passwords: each
 * byte is wiped once it is sent.  All zeros is one that is empty.
 */
struct redisout {
	char  *buf;
	size_t size;
	size_t off; /* of what is not sent yet */
	size_t len; /* of all that is held */
};

/*
 * Appends a command of strings.  False, and nothing appended, when there is no
 * memory for it, or too much has not been sent.
 */
bool redisout_add(struct redisout *, int argc, const char **argv);

/* Whether nothing is left to be sent. */
bool redisout_empty(const struct redisout *);

/*
 * Sends as much as goes.  What the last stream_write() returned; 0 where there
 * was nothing to be sent.
 */
ssize_t redisout_send(struct redisout *, struct stream *);

/* Wipes and frees all that is held; it can be used again. */
void redisout_wipe(struct redisout *);

#endif /* REDISOUT_H */
