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
 * What is wrong with a server, told in the log when it begins, when its cause
 * changes, and when it is over: TROUBLE_LINES lines a minute and no more, since
 * states may alternate with every request.
 */
#define TROUBLE_LINES 20

/* What a request was, for the log: the command and its key or function. */
#define TROUBLE_REQUEST 80

/* What begins with this in place of {NAME}: who asks about it expects an error. */
#define TROUBLE_PROBE "{-n"

/* name is how the log calls the server.  NULL when out of memory. */
struct trouble *trouble_new(const char *name);
void		trouble_free(struct trouble *);

/* There is no connection, for this reason; and there is one again. */
void trouble_away(struct trouble *, const char *why);
void trouble_back(struct trouble *);

/*
 * Writes what a request is, from its words: no more of them than the command,
 * and the function or the key.
 */
void trouble_request(char[TROUBLE_REQUEST], int, const char **);

/*
 * Looks at what a request got.  The errors that are a record's own (a value of
 * the wrong type, one too large) and a library that is not loaded yet are for
 * those who asked.
 */
void
trouble_reply(struct trouble *, const char *request, const struct redisReply *);

/*
 * Looks at what the server says of itself, INFO's reply: whether what it is
 * told is kept.  replicas are those that a reservation waits for.
 */
void trouble_info(struct trouble *, const struct redisReply *, int replicas);

#endif /* TROUBLE_H */
