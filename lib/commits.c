/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/queue.h>
#include <sys/types.h>

#include <bsd/string.h>
#include <hiredis/hiredis.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "argv.h"
#include "commits.h"
#include "conf.h"
#include "monotonic.h"
#include "sentinels.h"

/* Milliseconds. */
#define SETTLE 3000
#define LAG_PAUSE 60000

TAILQ_HEAD(commit_list, commit);

struct commit {
	TAILQ_ENTRY(commit) entry;
	struct commits	   *commits;
	struct commit_list *list; /* that it is in */
	redisconn_cb	    cb;
	void		   *arg;
	bool		    asking;
	struct argv	   *argv;
	struct redisreq	   *req;   /* NULL: not sent, or answered */
	redisReply	   *reply; /* that waits for the replicas */
};

struct commits {
	const struct conf      *conf;
	const struct sentinels *sentinels;
	struct redisconn       *rc;
	bool			waiting; /* a WAIT is under way */
	long long		asked;	 /* how many replicas it waits for */
	long long		have_it; /* what it said */
	long long		known;	 /* replicas that the server had */
	int64_t gone_at;   /* when it had fewer, in milliseconds; 0: not */
	int64_t lag_until; /* until then one of them counts as slow */
	struct commit_list next; /* to be sent with the next one */
	struct commit_list sent; /* before that one */
	struct commit_list done; /* to be called back */
};

static void
free_reply(redisReply *reply)
{
	size_t i;

	if (reply == NULL)
		return;
	for (i = 0; i < reply->elements; i++)
		free_reply(reply->element[i]);
	free(reply->element);
	free(reply->str);
	free(reply);
}

static bool copy_parts(redisReply *, const redisReply *);

static redisReply *
copy_reply(const redisReply *reply)
{
	redisReply *copy;

	if ((copy = calloc(1, sizeof(*copy))) == NULL)
		return (NULL);
	copy->type = reply->type;
	copy->integer = reply->integer;
	if (copy_parts(copy, reply))
		return (copy);
	free_reply(copy);
	return (NULL);
}

static bool
copy_parts(redisReply *copy, const redisReply *reply)
{
	if (reply->str != NULL) {
		if ((copy->str = malloc(reply->len + 1)) == NULL)
			return (false);
		memcpy(copy->str, reply->str, reply->len + 1);
		copy->len = reply->len;
	}
	if (reply->elements == 0)
		return (true);
	copy->element = calloc(reply->elements, sizeof(*copy->element));
	if (copy->element == NULL)
		return (false);
	for (; copy->elements < reply->elements; copy->elements++) {
		copy->element[copy->elements] = copy_reply(reply
			->element[copy->elements]);
		if (copy->element[copy->elements] == NULL)
			return (false);
	}
	return (true);
}

static void
move_commit(struct commit *c, struct commit_list *list)
{
	TAILQ_REMOVE(c->list, c, entry);
	TAILQ_INSERT_TAIL(list, c, entry);
	c->list = list;
}

/* Once it is in no list any more. */
static void
release(struct commit *c)
{
	if (c->req != NULL)
		redisconn_cancel(c->req);
	free_reply(c->reply);
	argv_free(c->argv);
	free(c);
}

void
commit_cancel(struct commit *c)
{
	TAILQ_REMOVE(c->list, c, entry);
	release(c);
}

static void
call_back(struct commit *c, const redisReply *reply)
{
	redisconn_cb cb = c->cb;
	void	    *arg = c->arg;

	release(c);
	cb(arg, reply);
}

/* An error has changed nothing, and needs no replica. */
static void
on_reply(void *arg, const redisReply *reply)
{
	struct commit *c = arg;
	const bool error = reply != NULL && reply->type == REDIS_REPLY_ERROR;

	c->req = NULL;
	if (reply != NULL && !error && c->commits->waiting)
		c->reply = copy_reply(reply);
	if (c->reply != NULL)
		return;
	TAILQ_REMOVE(c->list, c, entry);
	call_back(c, error ? reply : REDIS_NO_REPLY);
}

/* Those that are called back may send others, and cancel any. */
static void
call_back_all(struct commits *cs, bool have_it)
{
	struct commit *c;
	redisReply    *reply;

	while ((c = TAILQ_FIRST(&cs->done)) != NULL) {
		TAILQ_REMOVE(&cs->done, c, entry);
		reply = c->reply;
		c->reply = NULL;
		call_back(c, have_it ? reply : REDIS_NO_REPLY);
		free_reply(reply);
	}
}

static void send_next(struct commits *);

static void
finish_group(struct commits *cs, bool have_it)
{
	struct commit *c;

	cs->waiting = false;
	while ((c = TAILQ_FIRST(&cs->sent)) != NULL)
		move_commit(c, &cs->done);
	send_next(cs);
	call_back_all(cs, have_it);
}

/*
 * A replica that has gone may be the primary now, without what was written
 * since.  Until that would have been heard of, nothing counts; then the others
 * do, if the Sentinels still name this server.
 */
static bool
is_trusted(struct commits *cs, long long connected)
{
	const int64_t now = monotonic_ms();

	if (connected < cs->known) {
		if (cs->gone_at == 0)
			cs->gone_at = now;
		if (now - cs->gone_at < SETTLE ||
		    (cs->sentinels != NULL && !sentinels_agree(cs->sentinels)))
			return (false);
	} else if (cs->have_it < cs->asked)
		cs->lag_until = now + LAG_PAUSE;
	cs->gone_at = 0;
	cs->known = connected;
	return (true);
}

/* -1: the server does not say. */
static long long
read_connected(const redisReply *info)
{
	static const char name[] = "connected_slaves:";
	const char	 *at;

	if (info == NULL || info->type != REDIS_REPLY_STRING ||
	    (at = strstr(info->str, name)) == NULL)
		return (-1);
	return (strtoll(at + strlen(name), NULL, 10));
}

static void
on_replicas(void *arg, const redisReply *reply)
{
	struct commits *cs = arg;
	long long	connected = read_connected(reply);
	bool		have_it = cs->have_it >= cs->conf->redis_replicas;

	if (have_it && connected >= 0)
		have_it = is_trusted(cs, connected);
	finish_group(cs, reply != NULL && have_it);
}

static void
on_waited(void *arg, const redisReply *reply)
{
	struct commits *cs = arg;

	cs->have_it = -1;
	if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
		cs->have_it = reply->integer;
}

/* ASKING's own reply tells nothing that the next one does not. */
static bool
send_commit_now(struct commits *cs, struct commit *c)
{
	const char *asking = "ASKING";

	if (c->asking && redisconn_send(cs->rc, NULL, NULL, 1, &asking) == NULL)
		return (false);
	c->req = redisconn_send(cs->rc, on_reply, c, c->argv->argc,
	    c->argv->argv);
	return (c->req != NULL);
}

/*
 * All replicas are waited for, since any of them may be the next primary; but
 * one that is slow only once in a while.
 */
static bool
send_wait(struct commits *cs)
{
	const int   n = cs->conf->redis_replicas;
	char	    replicas[24], ms[16];
	const char *wait[] = { "WAIT", replicas, ms };
	const char *info[] = { "INFO", "replication" };

	cs->asked = cs->known > n && monotonic_ms() >= cs->lag_until ? cs->known
								     : n;
	snprintf(replicas, sizeof(replicas), "%lld", cs->asked);
	snprintf(ms, sizeof(ms), "%d", cs->conf->redis_timeout / 2);
	return (redisconn_send(cs->rc, on_waited, cs, 3, wait) != NULL &&
	    redisconn_send(cs->rc, on_replicas, cs, 2, info) != NULL);
}

/* All that have gathered; those that cannot be sent are called back. */
static void
send_next(struct commits *cs)
{
	struct commit *c;

	while ((c = TAILQ_FIRST(&cs->next)) != NULL)
		move_commit(c, send_commit_now(cs, c) ? &cs->sent : &cs->done);
	if (!TAILQ_EMPTY(&cs->sent))
		cs->waiting = send_wait(cs);
}

struct commit *
commits_send(struct commits *cs, bool asking, redisconn_cb cb, void *arg,
    int argc, const char **argv)
{
	struct commit *c;

	if (!redisconn_ready(cs->rc) || (c = calloc(1, sizeof(*c))) == NULL)
		return (NULL);
	c->commits = cs;
	c->cb = cb;
	c->arg = arg;
	c->asking = asking;
	c->list = &cs->next;
	TAILQ_INSERT_TAIL(&cs->next, c, entry);
	if ((c->argv = argv_copy(argc, argv)) != NULL && !cs->waiting)
		send_next(cs);
	if (c->argv != NULL && c->list != &cs->done)
		return (c);
	commit_cancel(c);
	return (NULL);
}

struct commits *
commits_new(const struct redisconn_common *common, const struct place *place,
    const struct sentinels *sentinels)
{
	struct commits *cs;

	if ((cs = calloc(1, sizeof(*cs))) == NULL)
		return (NULL);
	cs->conf = common->conf;
	cs->sentinels = sentinels;
	TAILQ_INIT(&cs->next);
	TAILQ_INIT(&cs->sent);
	TAILQ_INIT(&cs->done);
	cs->rc = redisconn_new(common, place, REDISCONN_AGAIN);
	if (cs->rc != NULL)
		return (cs);
	free(cs);
	return (NULL);
}

void
commits_drop(struct commits *cs, const char *why)
{
	redisconn_drop(cs->rc, why);
}

static void
free_list(struct commit_list *list)
{
	struct commit *c;

	while ((c = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, c, entry);
		release(c);
	}
}

void
commits_free(struct commits *cs)
{
	if (cs == NULL)
		return;
	free_list(&cs->next);
	free_list(&cs->sent);
	free_list(&cs->done);
	redisconn_free(cs->rc);
	free(cs);
}
