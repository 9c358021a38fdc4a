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
 * What is said first on a connection: the password, the database, and what is
 * to be known of the server.
 */

struct redislogin_handler {
	/*
	 * Sends a command of strings; the callback comes as redisconn_send()
	 * has it.  The text is what the log calls the command; NULL: by its
	 * words.  False when out of memory.
	 */
	bool (*send)(void *, redisconn_cb, void *, const char *, int,
	    const char **);
	/* All was as it has to be: comes last. */
	void (*done)(void *);
	/* It is not: the connection is to be dropped. */
	void (*failed)(void *, const char *why);
};

struct redislogin {
	const struct conf		*conf;
	enum redisconn_peer		 peer;
	struct trouble			*trouble;
	const struct redislogin_handler *handler;
	void				*arg;
	bool is_primary; /* as a REDISCONN_NODE has said */
};

/*
 * Sends all in one go; the replies are judged as they come.  False when out of
 * memory.
 */
bool redislogin_begin(struct redislogin *);

#endif /* REDISLOGIN_H */
