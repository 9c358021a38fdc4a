/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef FAKENODE_H
#define FAKENODE_H

#include <sys/queue.h>

#include <event2/event.h>
#include <stddef.h>

#include "place.h"
#include "unit.h"

/*
 * One of many servers, that takes any number of connections and answers each
 * command by what it begins with.
 */

/* In place of a reply: say nothing; or close the connection. */
#define NODE_HOLD NULL
#define NODE_CLOSE "close"

#define NODE_RULES 16

struct fakenode_peer;

struct fakenode {
	struct event_base     *base;
	struct evconnlistener *listener;
	struct place	       place; /* where it is */
	LIST_HEAD(, fakenode_peer) peers;
	size_t npeers;
	struct {
		const char *command;
		const char *reply;
	} rules[NODE_RULES];
	size_t nrules;
	char   log[65536]; /* commands, one a line */
};

/* Starts to listen: a primary that knows how to be logged in to. */
void fakenode_start(struct fakenode *, struct event_base *);

/* Closes everything. */
void fakenode_stop(struct fakenode *);

/* Has commands that begin so answered so from now on, whatever was before. */
void fakenode_say(struct fakenode *, const char *command, const char *reply);

/* Sends bytes, asked for or not, to those who have sent such a command. */
void fakenode_send(struct fakenode *, const char *command, const char *);

/* How often a command that begins so has come. */
size_t fakenode_heard(const struct fakenode *, const char *command);

#endif /* FAKENODE_H */
