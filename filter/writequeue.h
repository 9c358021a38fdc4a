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
 * Write-behind queue for users' logs, events, counts, and reservations that stay
 * or are given back.  It never blocks.  A command is kept until Redis confirms it, and sent
 * again after a connection was lost, so it may run twice.  A command that Redis
 * refuses for good is dropped, and logged.
 */

enum writequeue_kind {
	WRITEQUEUE_CHARGES, /* reservations that stay, or are given back; counts */
	WRITEQUEUE_WORDS,  /* for people to read */
	WRITEQUEUE_EVENTS, /* what they are told: no log pushes it out */
	WRITEQUEUE_KINDS
};

/*
 * Most bytes of each kind.  Beyond that the oldest entry of the user who has
 * most is dropped.
 */
#define WRITEQUEUE_MAX (4 << 20)

/* Most commands of one entry. */
#define WRITEQUEUE_COMMANDS 2

struct command {
	int	     argc;
	int	     key; /* which of them is the key, that tells the server */
	const char **argv;
};

/* The servers must outlive the write queue. */
struct writequeue *writequeue_new(struct event_base *, struct servers *);

/* Uses other servers from now on; commands under way go on. */
void writequeue_use(struct writequeue *, struct servers *);

/*
 * Gets the reply to a command, which may be an error.  Returns false if the
 * command must be sent again.  It may add entries of other kinds.
 */
typedef bool (*writequeue_reply_cb)(void *, const struct command *,
    const struct redisReply *);

/* Sets a callback for the replies to all commands of a kind. */
void writequeue_watch(struct writequeue *, enum writequeue_kind,
    writequeue_reply_cb, void *);

/* Frees it, and drops entries that are not written yet. */
void writequeue_free(struct writequeue *);

/*
 * Adds commands about a user, which are copied, and sends them together and in
 * order.  If one is not confirmed, it and those behind it are sent again.
 */
void writequeue_add(struct writequeue *, enum writequeue_kind, const char *user,
    size_t, const struct command *);

#endif /* WRITEQUEUE_H */
