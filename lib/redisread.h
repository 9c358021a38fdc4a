/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef REDISREAD_H
#define REDISREAD_H

#include <stdbool.h>
#include <stddef.h>

struct redisReply;
struct redisread;

/*
 * Reads the replies of Redis (RESP2) from a stream of bytes, without copying: a
 * reply points into the bytes it came in.  These are wiped with the next reply,
 * since they may hold hashes of passwords.
 *
 * A reply over REDISREAD_MAX bytes is dropped as it arrives.  In its place
 * comes an error that starts with REDIS_TOO_LARGE.
 */
#define REDISREAD_MAX (1 << 20)
#define REDIS_TOO_LARGE "TOOLARGE"

/* Most elements of a reply, and how deep they may be nested. */
#define REDISREAD_ELEMENTS 4096
#define REDISREAD_DEPTH 8

enum redisread_status {
	REDISREAD_REPLY,
	REDISREAD_MORE,	 /* has to come first */
	REDISREAD_BROKEN /* this is no reply; nothing behind it can be trusted */
};

/* NULL when out of memory. */
struct redisread *redisread_new(void);

/* Frees it, and wipes what it holds. */
void redisread_free(struct redisread *);

/*
 * Returns where to put bytes that are read next, and how many at most.  NULL
 * when out of memory.
 */
char *redisread_room(struct redisread *, size_t *);

/* Takes so many bytes, which were put there. */
void redisread_take(struct redisread *, size_t);

/* The next reply, which is valid until the next call of any of these. */
enum redisread_status
redisread_next(struct redisread *, const struct redisReply **);

/* Whether a reply has begun that is not complete. */
bool redisread_begun(const struct redisread *);

/* Whether a reply that is too large is being dropped. */
bool redisread_skipping(const struct redisread *);

#endif /* REDISREAD_H */
