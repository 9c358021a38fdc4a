/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <stdlib.h>

#include "conf.h"
#include "log.h"
#include "monotonic.h"
#include "primary.h"
#include "sentinels.h"

#define LOOK_EVERY 1000 /* milliseconds, at most, for the primary of a name */

struct primary {
	const struct redisconn_common *common;
	const struct primary_handler  *handler;
	void			      *arg;
	struct sentinels	      *sentinels; /* NULL: there are none */
	struct server *server; /* NULL: the Sentinels have not agreed yet */
	struct server *next;   /* without them, where that was no primary */
	int64_t	       looked; /* for it, the last time */
};

static void
on_connected(void *arg, struct redisconn *rc)
{
	struct primary *p = arg;

	if (p->sentinels == NULL || redisconn_is_primary(rc)) {
		p->handler->connected(p->arg, p->server);
		return;
	}
	redisconn_drop(rc, "a replica, and not the primary");
	sentinels_ask_soon(p->sentinels);
}

static struct server *
connect_to(struct primary *p, const struct place *place,
    enum redisconn_peer peer, void (*connected)(void *, struct redisconn *))
{
	struct server *server = server_new(p->common, place, peer);

	if (server == NULL)
		return (NULL);
	server->sentinels = p->sentinels;
	redisconn_on_connect(server->rc, connected, p);
	return (server);
}

/* What is under way at the former one is asked again by who has asked it. */
static void
replace_server(struct primary *p, struct server *server)
{
	struct server *former = p->server;
	char	       text[PLACE_TEXT];

	p->server = server;
	if (former == NULL)
		return;
	log_warnx("redis: %s: the primary is %s now", p->common->conf->redis,
	    place_text(&server->place, text));
	p->handler->leaving(p->arg, former);
	server_free(former);
}

static void
on_agreed(void *arg, const struct place *place)
{
	struct primary *p = arg;
	struct server  *server;

	server = connect_to(p, place, REDISCONN_NODE, on_connected);
	if (server == NULL)
		log_err("redis: %s: out of memory", p->common->conf->redis);
	else
		replace_server(p, server);
}

/*
 * The name may lead to another server by now.  Where that is no primary either,
 * nothing is gained: who only reads goes on with the one that is there.
 */
static void
on_next_connected(void *arg, struct redisconn *rc)
{
	struct primary *p = arg;
	struct server  *next = p->next;

	p->next = NULL;
	if (!redisconn_is_primary(rc)) {
		server_free(next);
		return;
	}
	redisconn_on_connect(rc, on_connected, p);
	replace_server(p, next);
	on_connected(p, rc);
}

static void
look_again(struct primary *p)
{
	const int64_t now = monotonic_ms();

	if (p->next != NULL || now - p->looked < LOOK_EVERY)
		return;
	p->looked = now;
	p->next = connect_to(p, &p->server->place, REDISCONN_NODE,
	    on_next_connected);
}

struct server *
primary_server(const struct primary *p)
{
	return (p->server);
}

void
primary_doubt(struct primary *p)
{
	if (p->sentinels != NULL)
		sentinels_ask_soon(p->sentinels);
}

void
primary_leave(struct primary *p, const char *why)
{
	if (p->sentinels == NULL)
		look_again(p);
	else {
		server_drop(p->server, why);
		sentinels_ask_soon(p->sentinels);
	}
}

struct primary *
primary_new(const struct redisconn_common *common,
    const struct primary_handler *handler, void *arg)
{
	const struct places *places = &common->conf->places;
	struct primary	    *p;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return (NULL);
	p->common = common;
	p->handler = handler;
	p->arg = arg;
	if (places->topology == REDIS_SENTINEL)
		p->sentinels = sentinels_new(common, on_agreed, p);
	else
		p->server = connect_to(p, &places->at[0], REDISCONN_SERVER,
		    on_connected);
	if (p->sentinels != NULL || p->server != NULL)
		return (p);
	free(p);
	return (NULL);
}

void
primary_free(struct primary *p)
{
	if (p == NULL)
		return;
	server_free(p->server);
	server_free(p->next);
	sentinels_free(p->sentinels);
	free(p);
}
