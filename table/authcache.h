/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef AUTHCACHE_H
#define AUTHCACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "digest.h"

/*
 * Remembers which passwords have been verified of late, since smtpd stands
 * still while a slow hash is computed.  What is kept is a keyed digest of the
 * name, the password and the hash that it was right for: with another hash in
 * Redis, the same password is verified anew.
 */

/* Seconds that a success is remembered for. */
#define AUTHCACHE_TTL 60

/* Successes kept at most; more push out the oldest. */
#define AUTHCACHE_SIZE 4096

/* The digest that the other calls take. */
void authcache_digest(uint8_t[DIGEST_LEN], const char *name,
    const char *password, const char *hash);

void authcache_add(const uint8_t[DIGEST_LEN]);
bool authcache_has(const uint8_t[DIGEST_LEN]);

#endif /* AUTHCACHE_H */
