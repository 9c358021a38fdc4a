/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef COMMITS_H
#define COMMITS_H

#include <stdbool.h>

#include "redisconn.h"

struct commit;
struct commits;
struct place;
struct sentinels;

/*
 * Commands whose reply counts only when replicas have what they wrote (WAIT,
 * https://redis.io/docs/latest/commands/wait/).  WAIT blocks its connection, so
 * these commands have one of their own.  Commands that come while a WAIT is
 * under way are sent together when it ends, with one WAIT behind them all: so
 * distant replicas do not lower the throughput.
 *
 * redis_replicas of the replicas must have the write.  Any replica may become
 * the next primary, and the old primary goes on until it notices.  So this
 * waits for all replicas that are connected (INFO), and when one disconnects,
 * no command succeeds for three seconds.
 *
 * A command that is repeated must write again: WAIT counts from the last write
 * of its own connection.
 */

/*
 * Starts to connect.  The Sentinels, which may be NULL, must outlive it.  NULL
 * when out of memory.
 */
struct commits *commits_new(const struct redisconn_common *,
    const struct place *, const struct sentinels *);

/* Ends the connection: callbacks of commands under way are not called. */
void commits_free(struct commits *);

/* Closes the connection, for a reason that is logged, and connects again. */
void commits_drop(struct commits *, const char *why);

/*
 * Sends a command of strings, now or with the next ones, with an ASKING of
 * Redis Cluster before it if asking.  The callback is called once, from the
 * event loop: with an error at once; with any other reply once the replicas
 * have the write; with REDIS_NO_REPLY if they do not within half of
 * redis_timeout, or if the connection is lost.  NULL, without a callback, when
 * there is no connection now.
 */
struct commit *commits_send(struct commits *, bool asking, redisconn_cb, void *,
    int, const char **);

/* Cancels it: the callback is not called. */
void commit_cancel(struct commit *);

#endif /* COMMITS_H */
