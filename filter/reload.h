/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef RELOAD_H
#define RELOAD_H

struct filter;
struct reload;

/*
 * At SIGHUP the configuration is read again, while sessions go on: the whole
 * of it is in force from then on, or, where something is wrong with it, none,
 * which is logged.  Redis is connected to anew where the keys about it have
 * changed, and the old connection serves until the new one is there.  SPF's
 * workers are replaced where the keys about them have.
 */

/* The file's name must stay good.  NULL when out of memory. */
struct reload *reload_new(struct filter *, const char *file);

void reload_free(struct reload *);

#endif /* RELOAD_H */
