/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef REDISCONN_H
#define REDISCONN_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

struct conf;
struct event_base;
struct place;
struct redisReply;
struct redisconn;
struct redisreq;

/*
 * One connection to one Redis, kept up until it is freed.  While there is none,
 * requests fail at once instead of waiting for it; when it is lost, so do those
 * under way.  It is made again after a pause that doubles from 50 ms to 5 s and
 * is jittered.  Of a host with several addresses each is tried before that, the
 * one that served last first.
 *
 * A connection on which the oldest request has had no reply for redis_timeout
 * counts as lost: replies come in the order of the requests, so nothing
 * behind it would be answered either.  So does one on which anything comes
 * that was not asked for.  A reply that is too large (redisread.h) costs the
 * request that it is for, and time.
 *
 * What is wrong with the server is logged (trouble.h).  What is sent and read
 * is wiped, since passwords and their hashes are among it.
 */

/* What became of a request that has no reply. */
#define REDIS_NO_REPLY NULL

/*
 * Takes the reply, which belongs to the connection and is gone when the
 * callback returns; REDIS_NO_REPLY when the connection was lost or the
 * request's time ran out.  An error of Redis's is a reply of that type.
 */
typedef void (*redisconn_cb)(void *, const struct redisReply *);

/* What connections have in common; it must outlive them. */
struct redisconn_common {
	struct event_base *base;
	const struct conf *conf;
	SSL_CTX		  *tls; /* tls_new(); NULL: no place is REDIS_TLS */
};

/* What is there, and so what is said to log in. */
enum redisconn_peer {
	REDISCONN_SERVER,
	REDISCONN_NODE,	 /* a server that may be a primary or not */
	REDISCONN_AGAIN, /* a server that there is another connection to */
	REDISCONN_SENTINEL
};

/*
 * Starts to connect to the place, which is copied, as the configuration says.
 * Of a server that others have told of the certificate must name the place, or
 * a host of the configuration.  NULL when out of memory.
 */
struct redisconn *redisconn_new(const struct redisconn_common *,
    const struct place *, enum redisconn_peer);

/*
 * Ends the connection, also from within a callback of its own: requests under
 * way are dropped without a callback.
 */
void redisconn_free(struct redisconn *);

/* Whether requests are taken now: connected, logged in, database chosen. */
bool redisconn_ready(const struct redisconn *);

/* Whether a REDISCONN_NODE said at login that it is a primary. */
bool redisconn_is_primary(const struct redisconn *);

/*
 * Ends this connection and makes another: those under way are called back with
 * REDIS_NO_REPLY, from the event loop.
 */
void redisconn_drop(struct redisconn *, const char *why);

/*
 * Has the callback called each time that a connection has been made, before
 * any request that others send on it.
 */
void redisconn_on_connect(struct redisconn *,
    void (*)(void *, struct redisconn *), void *);

/*
 * Sends a command of strings.  The callback comes exactly once, from the event
 * loop, never from within this call.  Returns NULL, without a callback,
 * when there is no connection now.
 */
struct redisreq *
redisconn_send(struct redisconn *, redisconn_cb, void *, int, const char **);

/*
 * Has the callback called for what comes unasked, which ends the connection
 * otherwise: the messages that a request has subscribed to.  Nothing but that
 * request may be sent there.
 */
void redisconn_on_message(struct redisconn *, redisconn_cb, void *);

/* Cancels a request under way: its callback is not called. */
void redisconn_cancel(struct redisreq *);

#endif /* REDISCONN_H */
