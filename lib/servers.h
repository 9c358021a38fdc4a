/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SERVERS_H
#define SERVERS_H

#include <stdbool.h>

#include "redisconn.h"

struct conf;
struct event_base;
struct server;
struct servers;
struct servers_req;

/*
 * The servers that hold the data, and which of them is asked about a key: the
 * one that the configuration names, the one that its Sentinels agree on, or
 * the one that has the key's slot of a cluster.
 */

/*
 * Starts to connect as the configuration says, which is held.
 * Returns NULL, after having logged why, when out of memory or TLS cannot be
 * set up.
 */
struct servers *servers_new(struct event_base *, const struct conf *);

/* Ends the connections: requests under way are dropped without a callback. */
void servers_free(struct servers *);

/* Whether there is a server that takes requests now. */
bool servers_ready(const struct servers *);

/*
 * Has the callback called for each server that may be written to once it is
 * connected, before any request that others send there; and at once for those
 * that are.
 */
void
servers_on_connect(struct servers *, void (*)(void *, struct server *), void *);

/*
 * Has the callback called once, from the event loop, at the next time that a
 * server is ready or at the latest after the time that one request may take.
 */
void servers_when_ready(struct servers *, void (*)(void *), void *);

/*
 * Sends a command of strings to the server that holds the key.  The callback
 * comes exactly once, from the event loop, as redisconn_send() has it; with
 * REDIS_NO_REPLY as well when the server turned out not to be the one that
 * holds the key, and no other was found in the time that a request may take.
 * Returns NULL, without a callback, when the server is not connected now.
 */
struct servers_req *servers_send(struct servers *, const char *key,
    redisconn_cb, void *, int, const char **);

/*
 * The same, but the reply, unless it is an error, comes once as many replicas
 * as the configuration asks for have what the command wrote; REDIS_NO_REPLY
 * when they do not in time.  A command that is sent again must write again.
 */
struct servers_req *servers_commit(struct servers *, const char *key,
    redisconn_cb, void *, int, const char **);

/* The same as servers_send(), to one server. */
struct servers_req *servers_send_to(struct servers *, struct server *,
    redisconn_cb, void *, int, const char **);

/* Whether no request is under way. */
bool servers_idle(const struct servers *);

/* Cancels a request under way: its callback is not called. */
void servers_cancel(struct servers_req *);

/* The server that holds the key, connected or not; NULL when none is known. */
struct server *servers_of_key(struct servers *, const char *key);

#endif /* SERVERS_H */
