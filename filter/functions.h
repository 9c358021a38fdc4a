/*
 * Copyright (c) 2026 The smtpusers authors
 *
 * Permission to use, copy, modify, and distribute this software for any
 * purpose with or without fee is hereby granted, provided that the above
 * copyright notice and this permission notice appear in all copies.
 *
 * THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
 * WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
 * MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
 * ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
 * WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
 * ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
 * OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
 */

#ifndef FUNCTIONS_H
#define FUNCTIONS_H

#include <stdbool.h>

#include "redisconn.h"

struct event_base;
struct functions;

/*
 * The functions of scripts/functions in Redis: loaded at each connection
 * where they are missing or older than ours, and called.  Where Redis has no
 * functions (before 7.0) the text is loaded as a script and runs by EVALSHA.
 */

/* Most arguments of a call, keys and all. */
#define FUNCTIONS_ARGS 16

/* Takes the connection's on_connect for itself.  NULL: memory is short. */
struct functions *functions_new(struct redisconn *);
void		  functions_free(struct functions *);

/*
 * Calls one by its name without the prefix: keys first, then arguments.  The
 * callback is as redisconn_send() has it.
 */
struct redisreq *functions_call(struct functions *, redisconn_cb, void *,
    const char *name, int nkeys, int argc, const char **argv);

/*
 * Whether a reply says that the function is not there any more; it is loaded
 * again then, and the call can be made again.
 */
bool functions_lost(struct functions *, const struct redisReply *);

/*
 * Writes what functions_call() would send, for a journal.  Returns the number
 * of arguments; the strings are in argv, or live as long as the program.
 */
int functions_command(struct functions *, const char *name, int nkeys, int argc,
    const char **argv, const char **out);

#endif /* FUNCTIONS_H */
