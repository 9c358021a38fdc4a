/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/queue.h>
#include <sys/types.h>

#include <event2/event.h>
#include <stdlib.h>

#include "conf.h"
#include "log.h"
#include "servers.h"

struct servers_req {
	TAILQ_ENTRY(servers_req) entry;
	struct servers	*servers;
	struct redisreq *req;
	redisconn_cb	 cb;
	void		*arg;
};

struct servers {
	const struct conf *conf;
	struct redisconn  *one;
	TAILQ_HEAD(, servers_req) reqs; /* under way */
	struct event *waiting;		/* servers_when_ready() */
	void (*on_connect)(void *, struct redisconn *);
	void *on_connect_arg;
	void (*when_ready)(void *);
	void *when_ready_arg;
};

static void
tell_ready(struct servers *sv)
{
	void (*cb)(void *) = sv->when_ready;

	event_del(sv->waiting);
	sv->when_ready = NULL;
	if (cb != NULL)
		cb(sv->when_ready_arg);
}

static void
on_waiting(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	tell_ready(arg);
}

static void
on_connected(void *arg, struct redisconn *rc)
{
	struct servers *sv = arg;

	if (sv->on_connect != NULL)
		sv->on_connect(sv->on_connect_arg, rc);
	tell_ready(sv);
}

bool
servers_ready(const struct servers *sv)
{
	return (redisconn_ready(sv->one));
}

void
servers_on_connect(struct servers *sv, void (*cb)(void *, struct redisconn *),
    void			  *arg)
{
	sv->on_connect = cb;
	sv->on_connect_arg = arg;
	if (cb != NULL && redisconn_ready(sv->one))
		cb(arg, sv->one);
}

void
servers_when_ready(struct servers *sv, void (*cb)(void *), void *arg)
{
	struct timeval tv = { 0, 0 };

	if (!servers_ready(sv))
		tv = conf_deadline(sv->conf);
	sv->when_ready = cb;
	sv->when_ready_arg = arg;
	event_add(sv->waiting, &tv);
}

struct redisconn *
servers_of_key(struct servers *sv, const char *key)
{
	(void)key;
	return (sv->one);
}

static void
free_req(struct servers_req *sr)
{
	TAILQ_REMOVE(&sr->servers->reqs, sr, entry);
	free(sr);
}

static void
on_reply(void *arg, const struct redisReply *reply)
{
	struct servers_req *sr = arg;
	redisconn_cb	    cb = sr->cb;
	void		   *cb_arg = sr->arg;

	free_req(sr);
	cb(cb_arg, reply);
}

struct servers_req *
servers_send(struct servers *sv, const char *key, redisconn_cb cb, void *arg,
    int argc, const char **argv)
{
	struct servers_req *sr;

	if ((sr = calloc(1, sizeof(*sr))) == NULL)
		return (NULL);
	sr->servers = sv;
	sr->cb = cb;
	sr->arg = arg;
	TAILQ_INSERT_TAIL(&sv->reqs, sr, entry);
	sr->req = redisconn_send(servers_of_key(sv, key), on_reply, sr, argc,
	    argv);
	if (sr->req != NULL)
		return (sr);
	free_req(sr);
	return (NULL);
}

bool
servers_idle(const struct servers *sv)
{
	return (TAILQ_EMPTY(&sv->reqs));
}

void
servers_cancel(struct servers_req *sr)
{
	redisconn_cancel(sr->req);
	free_req(sr);
}

struct servers *
servers_new(struct event_base *base, const struct conf *conf)
{
	struct servers *sv;

	if (conf->places.topology != REDIS_ONE) {
		log_warnx("redis: %s: not served yet", conf->redis);
		return (NULL);
	}
	if ((sv = calloc(1, sizeof(*sv))) == NULL)
		return (NULL);
	sv->conf = conf_hold(conf);
	TAILQ_INIT(&sv->reqs);
	if ((sv->waiting = evtimer_new(base, on_waiting, sv)) == NULL ||
	    (sv->one = redisconn_new(base, conf, &conf->places.at[0])) ==
		NULL) {
		servers_free(sv);
		return (NULL);
	}
	redisconn_on_connect(sv->one, on_connected, sv);
	return (sv);
}

void
servers_free(struct servers *sv)
{
	struct servers_req *sr;

	if (sv == NULL)
		return;
	redisconn_free(sv->one);
	while ((sr = TAILQ_FIRST(&sv->reqs)) != NULL)
		free_req(sr);
	if (sv->waiting != NULL)
		event_free(sv->waiting);
	conf_free(sv->conf);
	free(sv);
}
