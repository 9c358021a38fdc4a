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
 * Keys and slots as the Redis Cluster specification has them, and the errors by
 * which a server names another one.
 */

#define SLOTS 16384

/*
 * The slot of a key: of the text in its first {braces}, unless that is empty.
 */
uint16_t slots_of_key(const char *);

/* What to do about a reply. */
enum redirect_kind {
	REDIRECT_NONE,	/* it is the answer */
	REDIRECT_LEAVE, /* the server is no longer the primary */
	REDIRECT_LATER, /* no server can answer now */
	REDIRECT_MOVED, /* another server has the slot */
	REDIRECT_ASK	/* another server may have this key */
};

struct redirect {
	enum redirect_kind kind;
	uint16_t	   slot;
	struct place	   place; /* MOVED, ASK: of that server */
};

/*
 * Reads a reply of the server at from.  If the reply leaves out the host or the
 * port, they are those of from.
 */
struct redirect
slots_redirect(const struct redisReply *, const struct place *from);

/*
 * Reads the reply to CLUSTER SLOTS, and calls back for each range of slots with
 * its primary.  False, perhaps after some calls, if it is no such reply.
 */
typedef void (*slots_cb)(void *, uint16_t first, uint16_t last,
    const struct place *);
bool slots_read(const struct redisReply *, const struct place *from, slots_cb,
    void *);

#endif /* SLOTS_H */
