/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/queue.h>
#include <sys/types.h>

#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "argv.h"
#include "cluster.h"
#include "commits.h"
#include "conf.h"
#include "monotonic.h"
#include "primary.h"
#include "server.h"
#include "servers.h"
#include "slots.h"
#include "tls.h"

#define STRAY_PAUSE 20 /* milliseconds until it is tried again */
#define HOPS_MAX 5     /* from server to server without a pause */

/*
 * A request is under way at a server, or a stray: the server has said that it
 * is not the one, and the next is not known or not connected.
 */
struct servers_req {
	TAILQ_ENTRY(servers_req) entry;
	struct servers	*servers;
	struct server	*server; /* NULL: it is a stray */
	redisconn_cb	 cb;
	void		*arg;
	bool		 commits;
	bool		 bound; /* to this server, whatever it says */
	struct redisreq *req;	/* under way is one of these, or neither */
	struct commit	*commit;
	/* Of a cluster alone, to be sent elsewhere; argv NULL: it is not. */
	struct argv  *argv;
	uint16_t      slot;
	int64_t	      deadline;
	unsigned int  hops;
	struct event *timer; /* once it had to be */
};

struct servers {
	struct redisconn_common common;
	const struct conf      *conf;
	struct primary	       *primary; /* NULL: it is a cluster */
	struct cluster	       *cluster; /* or NULL */
	struct server_reqs	strays;
	size_t			under_way; /* requests, strays and others */
	struct event	       *waiting;   /* servers_when_ready() */
	void (*on_connect)(void *, struct server *);
	void *on_connect_arg;
	void (*when_ready)(void *);
	void *when_ready_arg;
};

/* Requests */

static struct server_reqs *
list_of(struct servers_req *sr)
{
	return (sr->server != NULL ? &sr->server->reqs : &sr->servers->strays);
}

static void
move_req(struct servers_req *sr, struct server *to)
{
	TAILQ_REMOVE(list_of(sr), sr, entry);
	sr->server = to;
	TAILQ_INSERT_TAIL(list_of(sr), sr, entry);
}

/* Once it is in no list any more. */
static void
release(struct servers_req *sr)
{
	if (sr->req != NULL)
		redisconn_cancel(sr->req);
	if (sr->commit != NULL)
		commit_cancel(sr->commit);
	if (sr->timer != NULL)
		event_free(sr->timer);
	sr->servers->under_way--;
	argv_free(sr->argv);
	free(sr);
}

static void
call_back(struct servers_req *sr, const redisReply *reply)
{
	redisconn_cb cb = sr->cb;
	void	    *arg = sr->arg;

	release(sr);
	if (cb != NULL)
		cb(arg, reply);
}

static void
conclude(struct servers_req *sr, const redisReply *reply)
{
	TAILQ_REMOVE(list_of(sr), sr, entry);
	call_back(sr, reply);
}

/* Whether it has been sent to and fro for all the time that it has. */
static bool
is_in_vain(const struct servers_req *sr)
{
	return (sr->server == NULL && sr->argv != NULL &&
	    sr->deadline - monotonic_ms() < STRAY_PAUSE);
}

/* The time of who cancels may be up a moment earlier. */
void
servers_cancel(struct servers_req *sr)
{
	if (is_in_vain(sr))
		cluster_answered(sr->servers->cluster, sr->slot, false);
	TAILQ_REMOVE(list_of(sr), sr, entry);
	release(sr);
}

/* For a server that is left: nothing there will be answered. */
static void
fail_all(struct server_reqs *list)
{
	struct servers_req *sr;

	while ((sr = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, sr, entry);
		call_back(sr, REDIS_NO_REPLY);
	}
}

static void
forget_all(struct server_reqs *list)
{
	struct servers_req *sr;

	while ((sr = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, sr, entry);
		release(sr);
	}
}

static void on_reply(void *, const redisReply *);

/* ASKING's own reply tells nothing that the next one does not. */
static bool
send_simple(struct servers_req *sr, struct server *to, bool asking, int argc,
    const char **argv)
{
	const char *word = "ASKING";

	if (asking && redisconn_send(to->rc, NULL, NULL, 1, &word) == NULL)
		return (false);
	sr->req = redisconn_send(to->rc, on_reply, sr, argc, argv);
	return (sr->req != NULL);
}

static bool
send_commit(struct servers_req *sr, struct server *to, bool asking, int argc,
    const char **argv)
{
	struct commits *commits = server_commits(to);

	if (commits != NULL)
		sr->commit = commits_send(commits, asking, on_reply, sr, argc,
		    argv);
	return (sr->commit != NULL);
}

/* False when that server does not take it now. */
static bool
hand_to(struct servers_req *sr, struct server *to, bool asking, int argc,
    const char **argv)
{
	bool sent;

	if (to == NULL)
		return (false);
	sent = sr->commits ? send_commit(sr, to, asking, argc, argv)
			   : send_simple(sr, to, asking, argc, argv);
	if (sent)
		move_req(sr, to);
	return (sent);
}

/* The server has lost its connection, or should not be asked any more. */
static void
doubt_server(struct servers *sv)
{
	if (sv->primary != NULL)
		primary_doubt(sv->primary);
	if (sv->cluster != NULL)
		cluster_doubt(sv->cluster);
}

static void on_wait_over(evutil_socket_t, short, void *);

static bool
wait_for(struct servers_req *sr, int64_t ms)
{
	const struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	if (sr->timer == NULL)
		sr->timer = evtimer_new(sr->servers->common.base, on_wait_over,
		    sr);
	return (sr->timer != NULL && event_add(sr->timer, &tv) == 0);
}

/*
 * Waits for its reply, but no longer than it may.  A stray waits for a pause,
 * unless another one about its slot has done so in vain: smtpd stands still
 * while its table waits, and anybody may try to log in as any user.
 */
static void
wait_on(struct servers_req *sr)
{
	const int64_t	left = sr->deadline - monotonic_ms();
	const bool	stray = sr->server == NULL;
	struct cluster *cl = sr->servers->cluster;

	if (is_in_vain(sr))
		cluster_answered(cl, sr->slot, false);
	if (left <= 0 || (stray && cluster_is_silent(cl, sr->slot)) ||
	    !wait_for(sr, stray && left > STRAY_PAUSE ? STRAY_PAUSE : left))
		conclude(sr, REDIS_NO_REPLY);
}

static void
on_wait_over(evutil_socket_t fd, short what, void *arg)
{
	struct servers_req *sr = arg;

	(void)fd;
	(void)what;
	if (sr->server == NULL)
		hand_to(sr, cluster_owner(sr->servers->cluster, sr->slot),
		    false, sr->argv->argc, sr->argv->argv);
	wait_on(sr);
}

/* To where a server of a cluster says. */
static void
follow_redirect(struct servers_req *sr, const struct redirect *r)
{
	struct cluster *cl = sr->servers->cluster;
	struct server  *to = NULL;

	if (r->kind == REDIRECT_MOVED || r->kind == REDIRECT_ASK)
		to = cluster_at(cl, &r->place);
	if (r->kind == REDIRECT_MOVED && to != NULL)
		cluster_moved(cl, r->slot, to);
	if (r->kind == REDIRECT_LATER)
		cluster_doubt(cl);
	move_req(sr, NULL);
	if (sr->hops++ < HOPS_MAX)
		hand_to(sr, to, r->kind == REDIRECT_ASK, sr->argv->argc,
		    sr->argv->argv);
	wait_on(sr);
}

/* Whether an error is about who has been asked, and not the answer. */
static bool
is_redirected(struct servers_req *sr, const redisReply *reply)
{
	const struct redirect r = slots_redirect(reply, &sr->server->place);

	if (r.kind == REDIRECT_NONE || sr->bound)
		return (false);
	if (sr->argv != NULL) {
		follow_redirect(sr, &r);
		return (true);
	}
	if (r.kind != REDIRECT_LEAVE)
		return (false);
	primary_leave(sr->servers->primary, reply->str);
	conclude(sr, REDIS_NO_REPLY);
	return (true);
}

static void
on_reply(void *arg, const redisReply *reply)
{
	struct servers_req *sr = arg;

	sr->req = NULL;
	sr->commit = NULL;
	if (reply == NULL)
		doubt_server(sr->servers);
	if (reply != NULL && reply->type == REDIS_REPLY_ERROR &&
	    is_redirected(sr, reply))
		return;
	if (reply != NULL && sr->argv != NULL)
		cluster_answered(sr->servers->cluster, sr->slot, true);
	conclude(sr, reply);
}

static struct servers_req *
new_req(struct servers *sv, bool commits, redisconn_cb cb, void *arg)
{
	struct servers_req *sr;

	if ((sr = calloc(1, sizeof(*sr))) == NULL)
		return (NULL);
	sr->servers = sv;
	sr->commits = commits;
	sr->cb = cb;
	sr->arg = arg;
	TAILQ_INSERT_TAIL(&sv->strays, sr, entry);
	sv->under_way++;
	return (sr);
}

/* What it takes to send it to another node. */
static bool
make_movable(struct servers_req *sr, const char *key, int argc,
    const char **argv)
{
	const struct timeval tv = conf_deadline(sr->servers->conf);

	sr->slot = key != NULL ? slots_of_key(key) : 0;
	sr->deadline = monotonic_ms() + tv.tv_sec * 1000 + tv.tv_usec / 1000;
	sr->argv = argv_copy(argc, argv);
	return (sr->argv != NULL);
}

/* A node that was heard of just now is waited for; one that is away is not. */
static bool
send_in_cluster(struct servers_req *sr, const char *key, int argc,
    const char **argv)
{
	struct server *owner = servers_of_key(sr->servers, key);

	if (owner == NULL || (!server_ready(owner) && !server_is_new(owner)) ||
	    !make_movable(sr, key, argc, argv))
		return (false);
	return (hand_to(sr, owner, false, argc, argv) ||
	    (server_is_new(owner) && wait_for(sr, STRAY_PAUSE)));
}

static struct servers_req *
send_request(struct servers *sv, bool commits, const char *key, redisconn_cb cb,
    void *arg, int argc, const char **argv)
{
	struct servers_req *sr = new_req(sv, commits, cb, arg);
	bool		    sent;

	if (sr == NULL)
		return (NULL);
	sent = sv->cluster != NULL
	    ? send_in_cluster(sr, key, argc, argv)
	    : hand_to(sr, primary_server(sv->primary), false, argc, argv);
	if (sent)
		return (sr);
	servers_cancel(sr);
	doubt_server(sv);
	return (NULL);
}

struct servers_req *
servers_send(struct servers *sv, const char *key, redisconn_cb cb, void *arg,
    int argc, const char **argv)
{
	return (send_request(sv, false, key, cb, arg, argc, argv));
}

struct servers_req *
servers_commit(struct servers *sv, const char *key, redisconn_cb cb, void *arg,
    int argc, const char **argv)
{
	return (send_request(sv, sv->conf->redis_replicas > 0, key, cb, arg,
	    argc, argv));
}

struct servers_req *
servers_send_to(struct servers *sv, struct server *server, redisconn_cb cb,
    void *arg, int argc, const char **argv)
{
	struct servers_req *sr = new_req(sv, false, cb, arg);

	if (sr == NULL)
		return (NULL);
	sr->bound = true;
	if (hand_to(sr, server, false, argc, argv))
		return (sr);
	servers_cancel(sr);
	return (NULL);
}

/* Which servers there are */

bool
servers_ready(const struct servers *sv)
{
	const struct server *server;

	if (sv->cluster != NULL)
		return (cluster_any(sv->cluster) != NULL);
	server = primary_server(sv->primary);
	return (server != NULL && server_ready(server));
}

/* Whether all requests are taken, as far as that can be. */
static bool
all_ready(const struct servers *sv)
{
	if (sv->cluster != NULL)
		return (cluster_whole(sv->cluster));
	return (servers_ready(sv));
}

struct server *
servers_of_key(struct servers *sv, const char *key)
{
	if (sv->cluster == NULL)
		return (primary_server(sv->primary));
	if (key == NULL)
		return (cluster_any(sv->cluster));
	return (cluster_owner(sv->cluster, slots_of_key(key)));
}

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

void
servers_when_ready(struct servers *sv, void (*cb)(void *), void *arg)
{
	struct timeval tv = { 0, 0 };

	if (!all_ready(sv))
		tv = conf_deadline(sv->conf);
	sv->when_ready = cb;
	sv->when_ready_arg = arg;
	event_add(sv->waiting, &tv);
}

static void
on_mapped(void *arg)
{
	struct servers *sv = arg;

	if (all_ready(sv))
		tell_ready(sv);
}

static void
on_server_connected(void *arg, struct server *server)
{
	struct servers *sv = arg;

	if (sv->on_connect != NULL)
		sv->on_connect(sv->on_connect_arg, server);
	on_mapped(sv);
}

static void
on_server_leaving(void *arg, struct server *server)
{
	(void)arg;
	fail_all(&server->reqs);
}

static const struct cluster_handler cluster_handler = { on_server_connected,
	on_server_leaving, on_mapped };

static const struct primary_handler primary_handler = { on_server_connected,
	on_server_leaving };

static void
each_server(struct servers *sv, void (*cb)(void *, struct server *))
{
	if (sv->primary != NULL && primary_server(sv->primary) != NULL)
		cb(sv, primary_server(sv->primary));
	if (sv->cluster != NULL)
		cluster_each(sv->cluster, cb, sv);
}

static bool
may_be_written_to(const struct servers *sv, const struct server *server)
{
	return (server_ready(server) &&
	    (sv->conf->places.topology == REDIS_ONE ||
		redisconn_is_primary(server->rc)));
}

static void
tell_of(void *arg, struct server *server)
{
	struct servers *sv = arg;

	if (may_be_written_to(sv, server))
		sv->on_connect(sv->on_connect_arg, server);
}

bool
servers_idle(const struct servers *sv)
{
	return (sv->under_way == 0);
}

void
servers_on_connect(struct servers *sv, void (*cb)(void *, struct server *),
    void			  *arg)
{
	sv->on_connect = cb;
	sv->on_connect_arg = arg;
	if (cb != NULL)
		each_server(sv, tell_of);
}

static bool
connect_servers(struct servers *sv)
{
	if (sv->conf->places.topology == REDIS_CLUSTER)
		sv->cluster = cluster_new(&sv->common, &cluster_handler, sv);
	else
		sv->primary = primary_new(&sv->common, &primary_handler, sv);
	return (sv->cluster != NULL || sv->primary != NULL);
}

/* Read once: later the file may be out of reach. */
static bool
set_up_tls(struct servers *sv)
{
	if (sv->conf->places.at[0].transport == REDIS_TLS)
		sv->common.tls = tls_new(sv->conf->redis_ca);
	return (sv->conf->places.at[0].transport != REDIS_TLS ||
	    sv->common.tls != NULL);
}

struct servers *
servers_new(struct event_base *base, const struct conf *conf)
{
	struct servers *sv;

	if ((sv = calloc(1, sizeof(*sv))) == NULL)
		return (NULL);
	sv->common.base = base;
	sv->common.conf = sv->conf = conf_ref(conf);
	TAILQ_INIT(&sv->strays);
	if ((sv->waiting = evtimer_new(base, on_waiting, sv)) != NULL &&
	    set_up_tls(sv) && connect_servers(sv))
		return (sv);
	servers_free(sv);
	return (NULL);
}

/* The requests of a server go before it. */
static void
forget_server(void *arg, struct server *server)
{
	(void)arg;
	forget_all(&server->reqs);
}

void
servers_free(struct servers *sv)
{
	if (sv == NULL)
		return;
	forget_all(&sv->strays);
	each_server(sv, forget_server);
	cluster_free(sv->cluster);
	primary_free(sv->primary);
	if (sv->common.tls != NULL)
		tls_free(sv->common.tls);
	if (sv->waiting != NULL)
		event_free(sv->waiting);
	conf_free(sv->conf);
	free(sv);
}
