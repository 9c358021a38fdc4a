/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <stdlib.h>
#include <time.h>

#include "commits.h"
#include "monotonic.h"
#include "server.h"

#define NEW_FOR 1000 /* milliseconds */

struct server *
server_new(const struct redisconn_common *common, const struct place *place,
    enum redisconn_peer peer)
{
	struct server *server;

	if ((server = calloc(1, sizeof(*server))) == NULL)
		return (NULL);
	server->common = common;
	server->place = *place;
	server->born = server->used = monotonic_ms();
	TAILQ_INIT(&server->reqs);
	server->rc = redisconn_new(common, place, peer);
	if (server->rc != NULL)
		return (server);
	free(server);
	return (NULL);
}

void
server_free(struct server *server)
{
	if (server == NULL)
		return;
	redisconn_free(server->rc);
	commits_free(server->commits);
	free(server);
}

struct commits *
server_commits(struct server *server)
{
	if (server->commits == NULL)
		server->commits = commits_new(server->common, &server->place,
		    server->sentinels);
	return (server->commits);
}

bool
server_is_new(const struct server *server)
{
	return (monotonic_ms() - server->born < NEW_FOR);
}

bool
server_ready(const struct server *server)
{
	return (redisconn_ready(server->rc));
}

void
server_drop(struct server *server, const char *why)
{
	redisconn_drop(server->rc, why);
	if (server->commits != NULL)
		commits_drop(server->commits, why);
}
