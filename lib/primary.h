/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef PRIMARY_H
#define PRIMARY_H

#include "server.h"

struct primary;

/*
 * The one server that holds all data: the one that the configuration names, or
 * the one that the Sentinels agree on.  It is replaced when they agree on
 * another; without Sentinels, when it is no primary any more and its name leads
 * to one.
 */

struct primary_handler {
	/* A connection to it has been made. */
	void (*connected)(void *, struct server *);
	/* It has been replaced, and is freed when this returns. */
	void (*leaving)(void *, struct server *);
};

/*
 * Starts to connect, or to ask the Sentinels.  The handler must outlive it.
 * NULL when out of memory.
 */
struct primary *primary_new(const struct redisconn_common *,
    const struct primary_handler *, void *);

/* Ends the connections.  No request may be under way any more. */
void primary_free(struct primary *);

/* The server, connected or not; NULL if it is not known. */
struct server *primary_server(const struct primary *);

/* Notes that it could not be reached: the Sentinels are asked soon. */
void primary_doubt(struct primary *);

/* Notes that it has said, in an error that is logged, that it is no primary. */
void primary_leave(struct primary *, const char *why);

#endif /* PRIMARY_H */
