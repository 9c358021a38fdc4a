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
 * Loads and calls the functions of scripts/functions in Redis.  At each
 * connection they are loaded if they are missing, older than ours, or have our
 * number and another text.  Newer ones stay, since they support our calls.
 */

/* Index of the first key in the words of a call. */
#define FUNCTIONS_KEY 3

/* Uses servers_on_connect() for itself.  NULL when out of memory. */
struct functions *functions_new(struct servers *);
void		  functions_free(struct functions *);

/*
 * Calls a function by its name: argv has the keys, then the arguments.  The
 * callback is that of servers_send().
 */
struct servers_req *functions_call(struct functions *, redisconn_cb, void *,
    const char *name, int nkeys, int argc, const char **argv);

/* The same by servers_commit(): waits for replicas. */
struct servers_req *functions_commit(struct functions *, redisconn_cb, void *,
    const char *name, int nkeys, int argc, const char **argv);

/*
 * Whether a reply says that the function is missing.  If so, loads the library
 * on the server that holds the key; then the call can be repeated.
 */
bool
functions_lost(struct functions *, const char *key, const struct redisReply *);

/*
 * Whether a reply comes from our library or a newer one, by the number at its
 * end.  An older library, which another relay may have loaded, may not know all
 * limits, so its reply must not count.  If so, loads ours; then the call can be
 * repeated.  A reply that is no array has no number; if it is an error about
 * the arguments, the library is checked all the same.
 */
bool functions_current(struct functions *, const char *key,
    const struct redisReply *);

/*
 * Writes the words that functions_call() would send, for a write queue: out
 * needs room for FUNCTIONS_KEY + argc.  Returns their number.  The strings are
 * those of argv, or static.
 */
int functions_command(const char *name, int nkeys, int argc, const char **argv,
    const char **out);

#endif /* FUNCTIONS_H */
