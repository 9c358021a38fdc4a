/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFWORKERS_H
#define SPFWORKERS_H

#include <stddef.h>

#include "spfwire.h"

/*
 * The filter's side of the worker processes: the starter, which is started
 * while the filter still can, and a socket to each worker.
 */

struct spfworkers;

/* Starts the starter (spfstarter.h).  NULL when that fails. */
struct spfworkers *spfworkers_new(void);

/* Ends the workers and their starter. */
void spfworkers_free(struct spfworkers *);

/*
 * Starts a worker in place of the one with that number, which is below
 * SPF_WORKERS_MAX, and gives it its orders.  resolver is a name server, or NULL
 * for the system's.  Returns the socket to it, which the caller closes, or -1
 * if it cannot be started.  The socket is at its end when the worker has ended.
 */
int spfworkers_start(struct spfworkers *, size_t number, const char *resolver,
    const struct spf_orders *);

/* Ends a worker, whatever it is doing. */
void spfworkers_stop(struct spfworkers *, size_t number);

#endif /* SPFWORKERS_H */
