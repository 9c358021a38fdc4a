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
 * Commands whose replies are good once replicas have what they wrote (WAIT,
 * https://redis.io/docs/latest/commands/wait/).  WAIT holds up what comes
 * behind it, so they have a connection of their own; and those that come while
 * one WAIT is under way are sent together when it ends, with one behind them
 * all, so that as many can be in a second with far replicas as with near ones.
 *
 * redis_replicas of them must have it.  But each replica may be the next
 * primary, and a primary that has been followed goes on until it hears of
 * that: so all that are connected (INFO) are waited for, and when one goes,
 * nothing counts for three seconds.
 *
 * A command that is asked again must write something again: WAIT counts from
 * the last write of its own connection.
 */

/*
 * Starts to connect.  The Sentinels, where there are any, must outlive this.
 * NULL when out of memory.
 */
struct commits *commits_new(const struct redisconn_common *,
    const struct place *, const struct sentinels *);

/* Ends the connection: nothing that is under way is called back. */
void commits_free(struct commits *);

/* Has the connection made anew. */
void commits_drop(struct commits *, const char *why);

/*
 * Sends a command of strings, now or with the next ones; with an ASKING of
 * Redis Cluster in front of it where asked for.  The callback comes once, from
 * the event loop: with an error as it is, with any other reply once the
 * replicas have it, with REDIS_NO_REPLY when they do not in half of what a
 * request may take, or when the connection was lost.  NULL, with no callback
 * to come, when there is no connection now.
 */
struct commit *commits_send(struct commits *, bool asking, redisconn_cb, void *,
    int, const char **);

/* Cancels it: the callback is not called. */
void commit_cancel(struct commit *);

#endif /* COMMITS_H */
