/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef FAKEREDIS_H
#define FAKEREDIS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

#include "conf.h"
#include "unit.h"

/*
 * A Redis that answers as it is told, on the loop of the test itself, so that
 * nothing in a test depends on who is first.
 */

/* In place of a reply. */
#define FAKE_HOLD NULL	   /* say nothing, ever */
#define FAKE_CLOSE "close" /* close the connection */

struct fakeredis {
	struct event_base     *base;
	char		       dir[UNIT_PATH];
	char		       path[UNIT_PATH + 8];
	struct conf	       conf; /* leads here */
	struct evconnlistener *listener;
	struct bufferevent    *bev; /* the last connection */
	struct redisReader    *reader;
	size_t		       naccepted;
	size_t		       nclosed;	     /* by the other side */
	int64_t		       accepted[16]; /* when, in milliseconds */
	/* To the commands of the login, each +OK where NULL: */
	const char *auth;
	const char *select;
	const char *version; /* ":2" where NULL */
	const char *info;    /* a sound server's where NULL */
	const char *ping;
	const char *greeting; /* sent before any command */
	/* To what comes after, in this order, then FAKE_HOLD: */
	const char *const *replies;
	size_t		   nreplies;
	size_t		   ncommands;  /* without the login */
	char		   log[65536]; /* commands, one a line */
};

/* Makes the place and its configuration; nobody listens there yet. */
void fakeredis_init(struct fakeredis *, struct event_base *);
void fakeredis_free(struct fakeredis *);

/* Starts to listen, or stops and closes what is connected. */
void fakeredis_start(struct fakeredis *);
void fakeredis_stop(struct fakeredis *);

/* Sets what the next commands are answered with, and forgets the log. */
void fakeredis_script(struct fakeredis *, const char *const *, size_t);

/* Sends bytes, asked for or not. */
void fakeredis_send(struct fakeredis *, const void *, size_t);

/* Closes the connection; the next one is taken. */
void fakeredis_hang_up(struct fakeredis *);

/* Whether everything that was sent has been read by the other side. */
bool fakeredis_heard(const struct fakeredis *);

#endif /* FAKEREDIS_H */
