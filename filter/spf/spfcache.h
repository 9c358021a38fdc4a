/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFCACHE_H
#define SPFCACHE_H

#include <stdint.h>

#include "spf.h"

struct spfcache;

/*
 * Remembers answers by domain.  A good answer is kept for the lowest TTL of its
 * records, within bounds; a bad one for SPFCACHE_BAD, so that a newly published
 * record soon counts; an unknown one not at all.
 */

/* Seconds. */
#define SPFCACHE_MIN 60
#define SPFCACHE_MAX 3600
#define SPFCACHE_BAD 60

/* Most answers; the one added first is dropped. */
#define SPFCACHE_SIZE 10000

/* NULL when out of memory. */
struct spfcache *spfcache_new(void);
void		 spfcache_free(struct spfcache *);

/* Adds a copy of an answer, in place of an older one. */
void spfcache_add(struct spfcache *, const char *, const struct spf_answer *);

/* Finds an answer that has not expired, or NULL; valid until the next add. */
const struct spf_answer *spfcache_find(struct spfcache *, const char *);

#endif /* SPFCACHE_H */
