/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef RELOAD_H
#define RELOAD_H

struct filter;
struct reload;

/*
 * At SIGHUP reads the configuration again, while sessions go on.  If it has an
 * error, that is logged and nothing changes.  If keys about Redis have changed,
 * connects anew; the old connection serves until the new one is there.  If keys
 * about SPF have changed, replaces its workers.
 */

/* The file's name must stay valid.  NULL when out of memory. */
struct reload *reload_new(struct filter *, const char *file);

void reload_free(struct reload *);

/*
 * Gives the configuration, the servers and their functions to all parts that
 * use them: at the start, and after they were replaced.
 */
void reload_share(struct filter *);

#endif /* RELOAD_H */
