/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef TROUBLE_H
#define TROUBLE_H

#include <stdbool.h>
#include <stddef.h>

struct redisReply;
struct trouble;

/*
 * Logs trouble with a server when it begins, when its cause changes, and when
 * it is over.  At most TROUBLE_LINES lines a minute, since states may alternate
 * with every request.
 */
#define TROUBLE_LINES 20

/* Room for a request in the log: the command and its key or function. */
#define TROUBLE_REQUEST 80

/* Errors about a {NAME} that begins so are expected, and not logged. */
#define TROUBLE_PROBE "{-n"

/* name is how the log calls the server.  NULL when out of memory. */
struct trouble *trouble_new(const char *name);
void		trouble_free(struct trouble *);

/* Log that there is no connection, for this reason; and that there is one. */
void trouble_away(struct trouble *, const char *why);
void trouble_back(struct trouble *);

/*
 * Describes a request for the log: the command, and the function or the key.
 * The other words may be secrets.
 */
void trouble_request(char[TROUBLE_REQUEST], int, const char **);

/*
 * Logs the error that a request got, or that an earlier error is over.  Ignores
 * the errors that the sender of the request handles: those of one record (wrong
 * type, too large), and a library that is not loaded yet.
 */
void
trouble_reply(struct trouble *, const char *request, const struct redisReply *);

/*
 * Logs what the reply to INFO says that endangers data (serverinfo.h).
 * replicas is redis_replicas of the configuration.
 */
void trouble_info(struct trouble *, const struct redisReply *, int replicas);

#endif /* TROUBLE_H */
