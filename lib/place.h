/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef PLACE_H
#define PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Where Redis is, as smtpusers.conf(5) says: one server, the Sentinels that
 * know which server is the primary, or some nodes of a cluster.
 */

enum redis_transport {
	REDIS_UNIX,
	REDIS_TCP,
	REDIS_TLS
};

enum redis_topology {
	REDIS_ONE,
	REDIS_SENTINEL,
	REDIS_CLUSTER
};

#define PLACE_HOST 254
#define PLACE_TEXT (PLACE_HOST + 8)
#define PLACE_NAME 65
#define PLACES_MAX 16

struct place {
	enum redis_transport transport;
	char		     host[PLACE_HOST]; /* or the socket's path */
	uint16_t	     port;
};

struct places {
	enum redis_topology topology;
	char		    name[PLACE_NAME]; /* of the Sentinels' primary */
	struct place	    at[PLACES_MAX];
	size_t		    n;
};

/* Reads what `redis` says.  False when it cannot be understood. */
bool places_parse(struct places *, const char *);

/*
 * Reads host:port, an IPv6 address in brackets.  Without a port, port stays as
 * it is; where it is 0, there must be one.
 */
bool place_parse_host(const char *, size_t len, char host[PLACE_HOST],
    uint16_t *port);

/* Writes host:port, or the socket's path, and returns the buffer. */
const char *place_text(const struct place *, char[PLACE_TEXT]);

/* Whether both are the same server, reached in the same way. */
bool place_equal(const struct place *, const struct place *);

#endif /* PLACE_H */
