/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SLOTS_H
#define SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "place.h"

struct redisReply;

/*
 * What the Redis Cluster specification says of keys and slots, and what the
 * errors of a server say of where to ask instead.
 */

#define SLOTS 16384

/* The slot of a key: of what its first {braces} enclose, if that is anything. */
uint16_t slots_of_key(const char *);

/* What to do about a reply. */
enum redirect_kind {
	REDIRECT_NONE,	/* it is the answer */
	REDIRECT_LEAVE, /* the server is not the primary any more */
	REDIRECT_LATER, /* nobody can answer now */
	REDIRECT_MOVED, /* the slot is another server's */
	REDIRECT_ASK	/* this key may be another server's */
};

struct redirect {
	enum redirect_kind kind;
	uint16_t	   slot;
	struct place	   place; /* of who is to be asked instead */
};

/*
 * Reads what a reply says.  What a place leaves out is that of the server
 * the reply came from.
 */
struct redirect
slots_redirect(const struct redisReply *, const struct place *from);

/*
 * Reads the reply to CLUSTER SLOTS: calls back for each range of slots with its
 * primary.  False, maybe after some calls, when it is no such reply.
 */
typedef void (*slots_cb)(void *, uint16_t first, uint16_t last,
    const struct place *);
bool slots_read(const struct redisReply *, const struct place *from, slots_cb,
    void *);

#endif /* SLOTS_H */
