/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "redisconn.h"
#include "sentinels.h"

#define ASK_EVERY 1000 /* milliseconds */
#define ASK_SOON 100

/* One that has a vote. */
struct voter {
	struct sentinels *sentinels;
	struct redisconn *asks;
	struct redisconn *hears;
	bool		  logs_in; /* it has asked for that */
	bool		  asked;   /* the reply is still to come */
	bool		  named;   /* a primary */
	struct place	  primary;
};

struct sentinels {
	const struct conf      *conf;
	struct conf		open; /* the same, without a password */
	struct redisconn_common common;
	struct redisconn_common open_common;
	struct voter		voters[PLACES_MAX];
	struct place		agreed;
	bool			have_agreed;
	struct event	       *tick;
	bool			hurries;
	void (*cb)(void *, const struct place *);
	void *arg;
};

static void log_in(struct voter *);

static void
ask_in(struct sentinels *ss, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	event_add(ss->tick, &tv);
}

/* Who has more than half of the votes; NULL: nobody. */
static const struct place *
count_votes(const struct sentinels *ss)
{
	const size_t n = ss->conf->places.n;
	size_t	     i, k, votes;

	for (i = 0; i < n; i++) {
		if (!ss->voters[i].named)
			continue;
		for (votes = 0, k = 0; k < n; k++)
			if (ss->voters[k].named &&
			    place_equal(&ss->voters[k].primary,
				&ss->voters[i].primary))
				votes++;
		if (votes > n / 2)
			return (&ss->voters[i].primary);
	}
	return (NULL);
}

static void
look_at_votes(struct sentinels *ss)
{
	const struct place *primary = count_votes(ss);

	if (primary == NULL ||
	    (ss->have_agreed && place_equal(primary, &ss->agreed)))
		return;
	ss->agreed = *primary;
	ss->have_agreed = true;
	ss->cb(ss->arg, &ss->agreed);
}

bool
sentinels_agree(const struct sentinels *ss)
{
	const struct place *primary = count_votes(ss);

	return (primary != NULL && place_equal(primary, &ss->agreed));
}

bool
sentinels_read(struct place *place, const redisReply *reply)
{
	const redisReply *host;
	long		  port;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY ||
	    reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_STRING ||
	    reply->element[1]->type != REDIS_REPLY_STRING)
		return (false);
	host = reply->element[0];
	port = strtol(reply->element[1]->str, NULL, 10);
	if (port <= 0 || port > UINT16_MAX || host->len == 0 ||
	    strlen(host->str) != host->len ||
	    strlcpy(place->host, host->str, sizeof(place->host)) >=
		sizeof(place->host))
		return (false);
	place->port = (uint16_t)port;
	return (true);
}

static void
on_named(void *arg, const redisReply *reply)
{
	struct voter *v = arg;

	v->asked = false;
	v->primary.transport = v->sentinels->conf->places.at[0].transport;
	v->named = sentinels_read(&v->primary, reply);
	if (reply != NULL && reply->type == REDIS_REPLY_ERROR &&
	    strncmp(reply->str, "NOAUTH", 6) == 0)
		log_in(v);
	look_at_votes(v->sentinels);
}

static void
ask_voter(struct voter *v)
{
	const char *argv[] = { "SENTINEL", "GET-MASTER-ADDR-BY-NAME",
		v->sentinels->conf->places.name };

	if (v->asked || v->asks == NULL)
		return;
	v->asked = redisconn_send(v->asks, on_named, v, 3, argv) != NULL;
	if (!v->asked)
		v->named = false;
}

static void
ask_all(struct sentinels *ss)
{
	size_t i;

	ss->hurries = false;
	for (i = 0; i < ss->conf->places.n; i++)
		ask_voter(&ss->voters[i]);
	ask_in(ss, ASK_EVERY);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	ask_all(arg);
}

void
sentinels_ask_soon(struct sentinels *ss)
{
	if (!ss->hurries)
		ask_in(ss, ASK_SOON);
	ss->hurries = true;
}

static void
on_asks_connected(void *arg, struct redisconn *rc)
{
	(void)rc;
	ask_voter(arg);
}

/* What is heard is only that something has changed. */
static void
on_heard(void *arg, const redisReply *reply)
{
	struct voter *v = arg;

	if (reply != NULL)
		ask_all(v->sentinels);
}

static void
on_hears_connected(void *arg, struct redisconn *rc)
{
	const char *argv[] = { "SUBSCRIBE", "+switch-master" };

	redisconn_send(rc, on_heard, arg, 2, argv);
}

static bool
connect_voter(struct voter *v)
{
	struct sentinels	      *ss = v->sentinels;
	const struct redisconn_common *common = v->logs_in ? &ss->common
							   : &ss->open_common;
	const struct place *place = &ss->conf->places.at[v - ss->voters];

	v->asks = redisconn_new(common, place, REDISCONN_SENTINEL);
	v->hears = redisconn_new(common, place, REDISCONN_SENTINEL);
	if (v->asks == NULL || v->hears == NULL)
		return (false);
	redisconn_on_connect(v->asks, on_asks_connected, v);
	redisconn_on_connect(v->hears, on_hears_connected, v);
	redisconn_on_message(v->hears, on_heard, v);
	return (true);
}

static void
disconnect_voter(struct voter *v)
{
	redisconn_free(v->asks);
	redisconn_free(v->hears);
	v->asks = v->hears = NULL;
	v->asked = v->named = false;
}

/* The password of Redis is shown to no Sentinel that does not ask for one. */
static void
log_in(struct voter *v)
{
	if (v->logs_in || v->sentinels->conf->redis_password == NULL)
		return;
	disconnect_voter(v);
	v->logs_in = true;
	if (!connect_voter(v))
		disconnect_voter(v);
}

struct sentinels *
sentinels_new(const struct redisconn_common *common,
    void (*cb)(void *, const struct place *), void *arg)
{
	struct sentinels *ss;
	size_t		  i;
	bool		  ok;

	if ((ss = calloc(1, sizeof(*ss))) == NULL)
		return (NULL);
	ss->common = ss->open_common = *common;
	ss->conf = common->conf;
	ss->open = *common->conf;
	ss->open_common.conf = &ss->open;
	ss->open.redis_password = ss->open.redis_user = NULL;
	ss->cb = cb;
	ss->arg = arg;
	ok = (ss->tick = evtimer_new(common->base, on_tick, ss)) != NULL;
	for (i = 0; ok && i < ss->conf->places.n; i++) {
		ss->voters[i].sentinels = ss;
		ok = connect_voter(&ss->voters[i]);
	}
	if (ok) {
		ask_in(ss, ASK_EVERY);
		return (ss);
	}
	sentinels_free(ss);
	return (NULL);
}

void
sentinels_free(struct sentinels *ss)
{
	size_t i;

	if (ss == NULL)
		return;
	for (i = 0; i < PLACES_MAX; i++)
		disconnect_voter(&ss->voters[i]);
	if (ss->tick != NULL)
		event_free(ss->tick);
	free(ss);
}
