/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef DIGEST_H
#define DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_LEN 16

/*
 * Keyed digests of secrets (SHA-256 of a key and the secret, cut to 128 bits),
 * to notice that a secret has changed without keeping it.  The key is drawn at
 * random at the first use, and never leaves the process.
 */

/*
 * Digests n strings, each with its NUL, so that different lists have different
 * digests.  The digest is never all zeros, which can stand for no digest.
 */
void digest_strings(uint8_t[DIGEST_LEN], size_t, const char *const *);

/*
 * Writes the first size - 1 hexadecimal digits of the SHA-256 of a text in
 * lower case, and a NUL; size is at most 65.  Without a key: the same on each
 * host.
 */
void digest_public(const char *, char *, size_t size);

#endif /* DIGEST_H */
