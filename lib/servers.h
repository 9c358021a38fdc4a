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
 * The servers that hold the data.  Which of them is asked about a key: the one
 * that the configuration names, the one that the Sentinels agree on, or the
 * owner of the key's slot in a cluster.
 */

/* Microseconds until what was not answered is worth asking again. */
#define SERVERS_RETRY 20000

/*
 * Starts to connect.  Holds the configuration (conf_ref()).  Returns NULL,
 * after having logged why, when out of memory or if TLS cannot be set up.
 */
struct servers *servers_new(struct event_base *, const struct conf *);

/* Ends the connections; callbacks of requests under way are not called. */
void servers_free(struct servers *);

/* Whether there is a server that takes requests now. */
bool servers_ready(const struct servers *);

/*
 * Sets a callback that is called for each writable server when it is connected,
 * before any other request is sent there; and at once for those that are
 * connected already.
 */
void
servers_on_connect(struct servers *, void (*)(void *, struct server *), void *);

/*
 * Calls back once, from the event loop, when a server is ready, or after
 * redis_timeout.
 */
void servers_when_ready(struct servers *, void (*)(void *), void *);

/*
 * Sends a command of strings to the server that holds the key, and again to
 * another one if the key turns out to be there.  The callback is called exactly
 * once, from the event loop, as by redisconn_send(); with REDIS_NO_REPLY also
 * if no server that holds the key was found within redis_timeout.  Returns
 * NULL, without a callback, when the server is not connected now.
 */
struct servers_req *servers_send(struct servers *, const char *key,
    redisconn_cb, void *, int, const char **);

/*
 * The same, but a reply that is no error comes only when redis_replicas have
 * what the command wrote, or REDIS_NO_REPLY if they do not in time.  A command
 * that is repeated must write again.
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

/* The server that holds the key, connected or not; NULL if it is not known. */
struct server *servers_of_key(struct servers *, const char *key);

#endif /* SERVERS_H */
