/*
 * Copyright (c) 2026 The smtpusers authors
 *
 * Permission to use, copy, modify, and distribute this software for any
 * purpose with or without fee is hereby granted, provided that the above
 * copyright notice and this permission notice appear in all copies.
 *
 * THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
 * WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
 * MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
 * ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
 * WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
 * ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
 * OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
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
