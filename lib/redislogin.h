/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef REDISLOGIN_H
#define REDISLOGIN_H

#include <stdbool.h>

#include "redisconn.h"

struct trouble;

/*
 * Logs in on a new connection: sends the password, selects the database, and
 * asks what must be known about the server.
 */

struct redislogin_handler {
	/*
	 * Sends a command of strings, as redisconn_send().  The text describes
	 * the command in the log; if it is NULL, its words do.  False when out
	 * of memory.
	 */
	bool (*send)(void *, redisconn_cb, void *, const char *, int,
	    const char **);
	/* The login has succeeded; the last call. */
	void (*done)(void *);
	/* It has failed: the connection must be dropped. */
	void (*failed)(void *, const char *why);
};

struct redislogin {
	const struct conf		*conf;
	enum redisconn_peer		 peer;
	struct trouble			*trouble;
	const struct redislogin_handler *handler;
	void				*arg;
	bool is_primary; /* what a REDISCONN_NODE has said */
};

/*
 * Sends everything at once, and checks the replies as they come.  False when
 * out of memory.
 */
bool redislogin_begin(struct redislogin *);

#endif /* REDISLOGIN_H */
