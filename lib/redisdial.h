/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef REDISDIAL_H
#define REDISDIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "resolve.h"

/*
 * Decides which address of a host to connect to next, how long to pause when
 * all have failed, and remembers why they did.  All zeros at first.
 */
struct redisdial {
	struct resolve_address address[RESOLVE_MAX];
	size_t		       n;
	size_t		       tried;  /* of these */
	struct resolve_address served; /* by this one, the last time */
	int		       pause;  /* the last one: milliseconds */
	char		       why[256];
};

/* Sets the addresses, at least one; tries the one that served last first. */
void redisdial_take(struct redisdial *, const struct resolve_address *, size_t);

/* Whether there is an address that has not been tried. */
bool redisdial_more(const struct redisdial *);

/* Returns that address, which then counts as tried. */
const struct resolve_address *redisdial_next(struct redisdial *);

/* Notes why the last address, or the lookup of the addresses, has failed. */
void redisdial_failed(struct redisdial *, const char *why);

/* Notes that the last address works; after it, all may be tried again. */
void redisdial_serves(struct redisdial *);

/*
 * Forgets the addresses, all of which have failed, and why.  Returns the
 * milliseconds to wait before looking them up again: this doubles from about 50
 * to 5000.
 */
int64_t redisdial_pause(struct redisdial *);

#endif /* REDISDIAL_H */
