/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef WRITEQUEUE_H
#define WRITEQUEUE_H

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct redisReply;
struct servers;
struct writequeue;

/*
 * A queue of what is written to Redis behind the sessions: reports, users' logs,
 * events, and reservations that are given back.  It never blocks.  A command is
 * kept until Redis has confirmed it, and sent again after a connection was lost;
 * so one whose reply was lost may run twice.  What Redis refuses for good is
 * dropped, and logged.
 */

enum writequeue_kind {
	WRITEQUEUE_CHARGES, /* reservations that stay, or are given back; counts */
	WRITEQUEUE_WORDS,  /* for people to read */
	WRITEQUEUE_EVENTS, /* what they are told: no log pushes it out */
	WRITEQUEUE_KINDS
};

/*
 * Bytes kept at most of each kind.  Above it an entry of a user who has most
 * makes room, the oldest one.
 */
#define WRITEQUEUE_MAX (4 << 20)

/* Commands of one entry at most. */
#define WRITEQUEUE_COMMANDS 2

struct command {
	int	     argc;
	int	     key; /* which of them is the key, that tells the server */
	const char **argv;
};

/* The servers must outlive the write queue. */
struct writequeue *writequeue_new(struct event_base *, struct servers *);

/* Writes to these from now on; what is under way goes on. */
void writequeue_use(struct writequeue *, struct servers *);

/*
 * Takes the reply to a command, which may be an error.  False: it is not written
 * yet, and sent again later.  It may write entries of other kinds.
 */
typedef bool (*writequeue_reply_cb)(void *, const struct command *,
    const struct redisReply *);

/* Has the replies to all commands of a kind taken from now on. */
void writequeue_watch(struct writequeue *, enum writequeue_kind,
    writequeue_reply_cb, void *);

/* Drops what is not written yet. */
void writequeue_free(struct writequeue *);

/*
 * Writes commands about a user, in one go and in their order.  They are copied.
 * From the first on that was not written they are sent again.
 */
void writequeue_add(struct writequeue *, enum writequeue_kind, const char *user,
    size_t, const struct command *);

#endif /* WRITEQUEUE_H */
