/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFWORKERS_H
#define SPFWORKERS_H

#include <stddef.h>

#include "spfwire.h"

/*
 * The worker processes, as the filter has them: a process that starts them,
 * made while the filter may still make one, and a socket to each.
 */

struct spfworkers;

/* Starts the starter (spfstarter.h).  NULL when that fails. */
struct spfworkers *spfworkers_new(void);

/* Ends the workers and their starter. */
void spfworkers_free(struct spfworkers *);

/*
 * Starts a worker, of number below SPF_WORKERS_MAX, in place of the one of
 * that number, and gives it its orders.  resolver is a name server, or NULL
 * for the system's.  Returns the socket to it, which is the caller's; -1 when
 * it cannot be started.  One that ends by itself closes its end.
 */
int spfworkers_start(struct spfworkers *, size_t number, const char *resolver,
    const struct spf_orders *);

/* Ends a worker, whatever it is doing. */
void spfworkers_stop(struct spfworkers *, size_t number);

#endif /* SPFWORKERS_H */
