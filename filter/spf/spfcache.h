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
 * Answers of workers, by domain.  A good one is kept for the TTL of what it
 * is made of, between the bounds; another one for less, so that who publishes
 * a record need not wait long; an unknown one not at all.
 */

/* Seconds. */
#define SPFCACHE_MIN 60
#define SPFCACHE_MAX 3600
#define SPFCACHE_BAD 60

/* Answers kept at most; the one added first makes room. */
#define SPFCACHE_SIZE 10000

struct spfcache *spfcache_new(void);
void		 spfcache_free(struct spfcache *);

/* Keeps a copy, in place of an older one. */
void spfcache_add(struct spfcache *, const char *, const struct spf_answer *);

/* Finds an answer that is still good; valid until the next add. */
const struct spf_answer *spfcache_find(struct spfcache *, const char *);

#endif /* SPFCACHE_H */
