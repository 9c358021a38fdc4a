/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <sys/queue.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "conf.h"
#include "monotonic.h"
#include "slots.h"

#define ASK_EVERY 1000 /* milliseconds, at most */
#define IDLE_MAX 60000 /* that a node without slots is kept */

struct cluster {
	const struct redisconn_common *common;
	const struct cluster_handler  *handler;
	void			      *arg;
	LIST_HEAD(, server) nodes;
	struct server *owner[SLOTS];
	struct server *fresh[SLOTS];  /* that are just being told */
	bool	       silent[SLOTS]; /* about which nobody has answered */
	struct server *asked;	      /* for the map, which is under way */
	struct event  *tick;
	int64_t	       asked_at;
	bool	       known;	/* the map */
	bool	       doubted; /* likewise */
	bool	       healthy; /* who is asked is in touch with most */
};

static void ask_for_map(struct cluster *);

static void
on_connected(void *arg, struct redisconn *rc)
{
	struct server  *node = arg;
	struct cluster *cl = node->keeper;

	if (!cl->known)
		ask_for_map(cl);
	if (redisconn_is_primary(rc))
		cl->handler->connected(cl->arg, node);
}

static struct server *
add_node(struct cluster *cl, const struct place *place)
{
	struct server *node;

	node = server_new(cl->common, place, REDISCONN_NODE);
	if (node == NULL)
		return (NULL);
	node->keeper = cl;
	LIST_INSERT_HEAD(&cl->nodes, node, entry);
	redisconn_on_connect(node->rc, on_connected, node);
	return (node);
}

struct server *
cluster_at(struct cluster *cl, const struct place *place)
{
	struct server *node;

	LIST_FOREACH(node, &cl->nodes, entry)
		if (place_equal(&node->place, place))
			return (node);
	return (add_node(cl, place));
}

struct server *
cluster_owner(struct cluster *cl, uint16_t slot)
{
	struct server *node = cl->owner[slot];

	/* The map is needed for the next ones, if not for this one. */
	if (node == NULL || !server_ready(node))
		cl->doubted = true;
	return (node);
}

void
cluster_answered(struct cluster *cl, uint16_t slot, bool answered)
{
	cl->silent[slot] = !answered;
}

bool
cluster_is_silent(const struct cluster *cl, uint16_t slot)
{
	return (cl->silent[slot]);
}

static bool
owns_slots(const struct cluster *cl, const struct server *node)
{
	size_t i;

	for (i = 0; i < SLOTS; i++)
		if (cl->owner[i] == node)
			return (true);
	return (false);
}

struct server *
cluster_any(const struct cluster *cl)
{
	struct server *node;

	LIST_FOREACH(node, &cl->nodes, entry)
		if (server_ready(node) && redisconn_is_primary(node->rc))
			return (node);
	return (NULL);
}

void
cluster_each(struct cluster *cl, void (*cb)(void *, struct server *), void *arg)
{
	struct server *node;

	LIST_FOREACH(node, &cl->nodes, entry)
		cb(arg, node);
}

bool
cluster_whole(const struct cluster *cl)
{
	size_t i;

	for (i = 0; cl->known && i < SLOTS; i++)
		if (cl->owner[i] != NULL && !server_ready(cl->owner[i]))
			return (false);
	return (cl->known);
}

void
cluster_moved(struct cluster *cl, uint16_t slot, struct server *node)
{
	cl->owner[slot] = node;
	cluster_doubt(cl);
}

void
cluster_doubt(struct cluster *cl)
{
	cl->doubted = true;
	if (monotonic_ms() - cl->asked_at >= ASK_EVERY)
		ask_for_map(cl);
}

/* Who has not been asked for longest. */
static struct server *
whom_to_ask(const struct cluster *cl)
{
	struct server *node, *best = NULL;

	LIST_FOREACH(node, &cl->nodes, entry)
		if (server_ready(node) &&
		    (best == NULL || node->asked < best->asked))
			best = node;
	return (best);
}

static void
on_health(void *arg, const redisReply *reply)
{
	struct cluster *cl = arg;

	cl->healthy = reply != NULL && reply->type == REDIS_REPLY_STRING &&
	    strstr(reply->str, "cluster_state:ok") != NULL;
}

static void
take_slots(void *arg, uint16_t first, uint16_t last, const struct place *place)
{
	struct cluster *cl = arg;
	struct server  *node = cluster_at(cl, place);
	size_t		i;

	for (i = first; i <= last; i++)
		cl->fresh[i] = node;
}

static void
drop_node(struct cluster *cl, struct server *node)
{
	cl->handler->leaving(cl->arg, node);
	LIST_REMOVE(node, entry);
	server_free(node);
}

static void
drop_idle_nodes(struct cluster *cl)
{
	struct server *node, *next;
	const int64_t  now = monotonic_ms();

	LIST_FOREACH_SAFE(node, &cl->nodes, entry, next)
		if (now - node->used > IDLE_MAX && !owns_slots(cl, node))
			drop_node(cl, node);
}

static void
on_map(void *arg, const redisReply *reply)
{
	struct cluster *cl = arg;
	struct server  *from = cl->asked;

	cl->asked = NULL;
	if (reply == NULL || (cl->known && !cl->healthy))
		return;
	memset(cl->fresh, 0, sizeof(cl->fresh));
	if (!slots_read(reply, &from->place, take_slots, cl))
		return;
	memcpy(cl->owner, cl->fresh, sizeof(cl->owner));
	cl->known = true;
	cl->doubted = !cl->healthy;
	drop_idle_nodes(cl);
	cl->handler->mapped(cl->arg);
}

static void
ask_for_map(struct cluster *cl)
{
	const char    *info[] = { "CLUSTER", "INFO" };
	const char    *slots[] = { "CLUSTER", "SLOTS" };
	struct server *node;

	if (cl->asked != NULL || (node = whom_to_ask(cl)) == NULL)
		return;
	node->asked = cl->asked_at = monotonic_ms();
	if (redisconn_send(node->rc, on_health, cl, 2, info) != NULL &&
	    redisconn_send(node->rc, on_map, cl, 2, slots) != NULL)
		cl->asked = node;
}

static bool
add_seeds(struct cluster *cl)
{
	size_t i;

	for (i = 0; i < cl->common->conf->places.n; i++)
		if (cluster_at(cl, &cl->common->conf->places.at[i]) == NULL)
			return (false);
	return (true);
}

static void
wait_a_while(struct cluster *cl)
{
	const struct timeval tv = { ASK_EVERY / 1000, ASK_EVERY % 1000 * 1000 };

	event_add(cl->tick, &tv);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct cluster *cl = arg;
	struct server  *node;
	bool		some = false;

	(void)fd;
	(void)what;
	LIST_FOREACH(node, &cl->nodes, entry) {
		some = some || server_ready(node);
		cl->doubted = cl->doubted || !server_ready(node);
	}
	if (!some)
		add_seeds(cl);
	else if (cl->doubted || !cl->known)
		ask_for_map(cl);
	wait_a_while(cl);
}

struct cluster *
cluster_new(const struct redisconn_common *common,
    const struct cluster_handler *handler, void *arg)
{
	struct cluster *cl;

	if ((cl = calloc(1, sizeof(*cl))) == NULL)
		return (NULL);
	cl->common = common;
	cl->handler = handler;
	cl->arg = arg;
	LIST_INIT(&cl->nodes);
	if ((cl->tick = evtimer_new(common->base, on_tick, cl)) == NULL ||
	    !add_seeds(cl)) {
		cluster_free(cl);
		return (NULL);
	}
	wait_a_while(cl);
	return (cl);
}

void
cluster_free(struct cluster *cl)
{
	struct server *node;

	if (cl == NULL)
		return;
	while ((node = LIST_FIRST(&cl->nodes)) != NULL) {
		LIST_REMOVE(node, entry);
		server_free(node);
	}
	if (cl->tick != NULL)
		event_free(cl->tick);
	free(cl);
}
