/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef CLUSTER_H
#define CLUSTER_H

#include "server.h"

struct cluster;

/*
 * The nodes of a cluster, and which node owns which slot.  One node is asked
 * for this map (CLUSTER SLOTS) at the start, and once a second while the map is
 * in doubt: an owner is unreachable, or a node has said that a slot belongs to
 * another.  A node that has lost most of the others ("cluster_state:fail") is
 * not believed, unless there is no map yet.
 */

struct cluster_handler {
	/* A connection to a node has been made. */
	void (*connected)(void *, struct server *);
	/* A node is not needed any more, and is freed when this returns. */
	void (*leaving)(void *, struct server *);
	/* There is a new map. */
	void (*mapped)(void *);
};

/*
 * Starts to connect to the nodes of the configuration.  The handler must
 * outlive it.  NULL when out of memory.
 */
struct cluster *cluster_new(const struct redisconn_common *,
    const struct cluster_handler *, void *);

/* Ends the connections to all nodes; the handler is not called any more. */
void cluster_free(struct cluster *);

/* The owner of the slot, connected or not; NULL if it is not known. */
struct server *cluster_owner(struct cluster *, uint16_t slot);

/* Some primary that is connected, or NULL. */
struct server *cluster_any(const struct cluster *);

/* Calls back for each node that is known. */
void cluster_each(struct cluster *, void (*)(void *, struct server *), void *);

/* Whether the owner of each slot that has one is connected. */
bool cluster_whole(const struct cluster *);

/* The node at that place, which is added if new.  NULL when out of memory. */
struct server *cluster_at(struct cluster *, const struct place *);

/* Notes that a node has said that this server owns the slot. */
void cluster_moved(struct cluster *, uint16_t slot, struct server *);

/* Puts the map in doubt: a node has not answered as an owner should. */
void cluster_doubt(struct cluster *);

/* Notes whether a request about the slot was answered before its deadline. */
void cluster_answered(struct cluster *, uint16_t slot, bool);

/* Whether the last request was not: then it is no use to repeat one. */
bool cluster_is_silent(const struct cluster *, uint16_t slot);

#endif /* CLUSTER_H */
