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
 * One connection to one Redis, kept up until it is freed.  While it is down,
 * requests fail at once; when it is lost, requests under way fail.  It connects
 * again after a random pause that doubles from 50 ms to 5 s.  If the host has
 * several addresses, it tries each before that pause, first the one that served
 * last.
 *
 * The connection counts as lost if the oldest request has had no reply for
 * redis_timeout, since replies come in the order of the requests; and if
 * anything comes that was not asked for.  A reply that is too large
 * (redisread.h) only fails its own request.
 *
 * Trouble with the server is logged (trouble.h).  Everything that was sent or
 * read is wiped, since it may hold passwords and their hashes.
 */

/* Passed to the callback of a request without a reply. */
#define REDIS_NO_REPLY NULL

/*
 * Gets the reply, which the connection frees when the callback returns; or
 * REDIS_NO_REPLY when the connection was lost or redis_timeout is over.  An
 * error of Redis is a reply of type REDIS_REPLY_ERROR.
 */
typedef void (*redisconn_cb)(void *, const struct redisReply *);

/* What connections have in common; it must outlive them. */
struct redisconn_common {
	struct event_base *base;
	const struct conf *conf;
	SSL_CTX		  *tls; /* tls_new(); NULL: no place is REDIS_TLS */
};

/* What kind of server it is, which decides how to log in. */
enum redisconn_peer {
	REDISCONN_SERVER,
	REDISCONN_NODE,	 /* a server that may be a primary or not */
	REDISCONN_AGAIN, /* a server that there is another connection to */
	REDISCONN_SENTINEL
};

/*
 * Starts to connect to the place, which is copied, with the login and TLS of
 * the configuration.  The certificate must name the place or a host of the
 * configuration.  NULL when out of memory.
 */
struct redisconn *redisconn_new(const struct redisconn_common *,
    const struct place *, enum redisconn_peer);

/*
 * Ends the connection; callbacks of requests under way are not called.  May be
 * called from within a callback of this connection.
 */
void redisconn_free(struct redisconn *);

/* Whether requests are taken now: connected, logged in, database chosen. */
bool redisconn_ready(const struct redisconn *);

/* Whether a REDISCONN_NODE said at login that it is a primary. */
bool redisconn_is_primary(const struct redisconn *);

/*
 * Closes the connection, for a reason that is logged, and connects again.
 * Requests under way get REDIS_NO_REPLY, from the event loop.
 */
void redisconn_drop(struct redisconn *, const char *why);

/*
 * Sets a callback that is called each time the connection has been made,
 * before any other request is sent on it.
 */
void redisconn_on_connect(struct redisconn *,
    void (*)(void *, struct redisconn *), void *);

/*
 * Sends a command of strings.  The callback, NULL where the reply does not
 * matter, is called exactly once, from the event loop.  Returns NULL, without a
 * callback, when there is no connection now.
 */
struct redisreq *
redisconn_send(struct redisconn *, redisconn_cb, void *, int, const char **);

/*
 * Sets a callback for messages of a subscription, which would otherwise end the
 * connection.  Nothing but the request that subscribes may be sent on it.
 */
void redisconn_on_message(struct redisconn *, redisconn_cb, void *);

/* Cancels a request under way: its callback is not called. */
void redisconn_cancel(struct redisreq *);

#endif /* REDISCONN_H */
