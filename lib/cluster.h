/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef CLUSTER_H
#define CLUSTER_H

#include "server.h"

struct cluster;

/*
 * The nodes of a cluster, and which of them has which slot.  One of them is
 * asked for that (CLUSTER SLOTS) at the start, and again, once a second, for
 * as long as there is doubt: an owner is away, or some node has said that a
 * slot is another's.  What a node says that is not in touch with most of the
 * others ("cluster_state:fail") is not believed, unless nothing is known yet.
 */

struct cluster_handler {
	/* A connection to a node has been made. */
	void (*connected)(void *, struct server *);
	/* A node is not needed any more, and is freed when this returns. */
	void (*leaving)(void *, struct server *);
	/* Who has which slot has been told. */
	void (*mapped)(void *);
};

/* Starts to connect to the nodes of the configuration.  NULL: no memory. */
struct cluster *cluster_new(const struct redisconn_common *,
    const struct cluster_handler *, void *);

void cluster_free(struct cluster *);

/* Who has the slot, connected or not; NULL: nobody is known. */
struct server *cluster_owner(struct cluster *, uint16_t slot);

/* Some primary that is connected, or NULL. */
struct server *cluster_any(const struct cluster *);

/* Calls back for each node that is known. */
void cluster_each(struct cluster *, void (*)(void *, struct server *), void *);

/* Whether the owner of each slot that has one is connected. */
bool cluster_whole(const struct cluster *);

/* The node at that place, new or not.  NULL: no memory. */
struct server *cluster_at(struct cluster *, const struct place *);

/* A node has said that the slot is this one's. */
void cluster_moved(struct cluster *, uint16_t slot, struct server *);

/* A node has not answered as an owner should. */
void cluster_doubt(struct cluster *);

/* Somebody has answered about the slot, or nobody in all the time there was. */
void cluster_answered(struct cluster *, uint16_t slot, bool);

/* Whether nobody has, the last time: it is not worth waiting for. */
bool cluster_is_silent(const struct cluster *, uint16_t slot);

#endif /* CLUSTER_H */
