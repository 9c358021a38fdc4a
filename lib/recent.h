/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef RECENT_H
#define RECENT_H

#include <stdbool.h>
#include <stddef.h>

#include "digest.h"

/*
 * A set of digests, each of which is forgotten after some time.  If the set is
 * full, the oldest of a few digests makes room for a new one.
 */
struct recent;

/*
 * A set of about size digests, a multiple of 4, each kept for ttl seconds.
 * NULL when out of memory.
 */
struct recent *recent_new(size_t size, int ttl);
void	       recent_free(struct recent *);

/* Adds a digest; if it is there already, its time begins anew. */
void recent_add(struct recent *, const uint8_t[DIGEST_LEN]);

/* Whether a digest is there, and not forgotten yet. */
bool recent_has(const struct recent *, const uint8_t[DIGEST_LEN]);

/*
 * Adds the digest of n strings.  False if it is there already: then its time
 * goes on.
 */
bool recent_add_new(struct recent *, size_t, const char *const *);

#endif /* RECENT_H */
