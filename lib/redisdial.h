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
 * Which address of a host is tried next, when it is begun anew, and why all of
 * it was in vain.  All zeros is one that has not tried anything.
 */
struct redisdial {
	struct resolve_address address[RESOLVE_MAX];
	size_t		       n;
	size_t		       tried;  /* of these */
	struct resolve_address served; /* by this one, the last time */
	int		       pause;  /* the last one: milliseconds */
	char		       why[256];
};

/* Takes the addresses, at least one; that which has served before comes first. */
void redisdial_take(struct redisdial *, const struct resolve_address *, size_t);

/* Whether there is an address that has not been tried. */
bool redisdial_more(const struct redisdial *);

/* That address: it has been tried from now on. */
const struct resolve_address *redisdial_next(struct redisdial *);

/* What went wrong at the one tried last, or before there was any. */
void redisdial_failed(struct redisdial *, const char *why);

/* The one tried last serves: all of them have their turn again afterwards. */
void redisdial_serves(struct redisdial *);

/*
 * All were in vain: forgets them and why.  How long to wait before they are
 * looked up again, in milliseconds: it doubles from about 50 to 5000.
 */
int64_t redisdial_pause(struct redisdial *);

#endif /* REDISDIAL_H */
