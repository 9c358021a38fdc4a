/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SERVER_H
#define SERVER_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "place.h"
#include "redisconn.h"

struct commits;
struct sentinels;
struct servers_req;

/*
 * One server that holds data: its connections, and the requests under way on
 * them.
 */
struct server {
	LIST_ENTRY(server) entry;
	void			      *keeper; /* of who has made it */
	const struct redisconn_common *common;
	struct place		       place;
	struct redisconn	      *rc;
	struct commits		      *commits; /* NULL: none so far */
	const struct sentinels *sentinels; /* that have named it, or NULL */
	TAILQ_HEAD(server_reqs, servers_req) reqs;
	int64_t born;  /* when, in milliseconds, monotonic */
	int64_t used;  /* by a request, the last time */
	int64_t asked; /* for the map of the cluster, the last time */
};

/* Starts to connect.  NULL when out of memory. */
struct server *server_new(const struct redisconn_common *, const struct place *,
    enum redisconn_peer);

/* Ends the connections.  No request may be under way any more. */
void server_free(struct server *);

/*
 * The connection for commits, which is made at the first call.  NULL when out
 * of memory.
 */
struct commits *server_commits(struct server *);

/* Whether it was added so lately that it may not be connected yet. */
bool server_is_new(const struct server *);

/* Whether requests are taken now. */
bool server_ready(const struct server *);

/* Closes its connections and connects again; requests get REDIS_NO_REPLY. */
void server_drop(struct server *, const char *why);

#endif /* SERVER_H */
