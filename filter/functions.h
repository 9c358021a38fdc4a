/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef FUNCTIONS_H
#define FUNCTIONS_H

#include <stdbool.h>

#include "servers.h"

struct event_base;
struct functions;

/*
 * The functions of scripts/functions in Redis: loaded at each connection
 * where they are missing or older than ours, or of the same number with another
 * text, and called.  Newer ones are never replaced: they know what we call.
 */

/* Which argument of a command is its first key: so many are before it. */
#define FUNCTIONS_KEY 3

/* Takes the servers' on_connect for itself.  NULL when out of memory. */
struct functions *functions_new(struct servers *);
void		  functions_free(struct functions *);

/*
 * Calls one by its name: keys first, then arguments.  The callback is as
 * servers_send() has it.
 */
struct servers_req *functions_call(struct functions *, redisconn_cb, void *,
    const char *name, int nkeys, int argc, const char **argv);

/* The same, but as servers_commit() has it: replicas are waited for. */
struct servers_req *functions_commit(struct functions *, redisconn_cb, void *,
    const char *name, int nkeys, int argc, const char **argv);

/*
 * Whether a reply says that the function is not there any more; it is loaded
 * again then on the server that holds the key, and the call can be made again.
 */
bool
functions_lost(struct functions *, const char *key, const struct redisReply *);

/*
 * Whether a reply is of our library or of a later one, by the number that it
 * carries behind.  An older one, which another relay may have loaded since we
 * looked, may not have judged all that was asked, whatever it answers: ours is
 * put in its place, and the call can be made again.  A reply that is no array is
 * of nobody's; where it says that what was asked is not understood, the library
 * is looked at all the same.
 */
bool functions_current(struct functions *, const char *key,
    const struct redisReply *);

/*
 * Writes what functions_call() would send, for a write queue: FUNCTIONS_KEY words
 * and argc.  Returns their number; the strings are in argv, or live as long as
 * the program.
 */
int functions_command(const char *name, int nkeys, int argc, const char **argv,
    const char **out);

#endif /* FUNCTIONS_H */
