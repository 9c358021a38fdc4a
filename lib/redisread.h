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
 * Reads the replies of Redis (RESP2) out of a stream of bytes, and holds no
 * more than it must: a reply is made of pointers into the bytes it came in, and
 * these are wiped with the next one, since some of them are hashes of
 * passwords.
 *
 * A reply over REDISREAD_MAX bytes costs nobody but who asked for it: its bytes
 * are let go of as they come, and an error that starts with REDIS_TOO_LARGE
 * stands in its place.
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

/* Where to put what comes next, and how much; NULL when out of memory. */
char *redisread_room(struct redisread *, size_t *);

/* Takes so many bytes, which were put there. */
void redisread_take(struct redisread *, size_t);

/* The next reply, which is good until the next call of any of these. */
enum redisread_status
redisread_next(struct redisread *, const struct redisReply **);

/* Whether a reply has begun that is not all there. */
bool redisread_begun(const struct redisread *);

/* Whether a reply that is too large is being let go of. */
bool redisread_skipping(const struct redisread *);

#endif /* REDISREAD_H */
