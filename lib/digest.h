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
 * Keyed digests of secrets (SHA-256 of a key and the secret, cut to 128 bits), for
 * telling whether something is what it was without keeping it.  The key is
 * drawn at the first use and lives and dies with the process.
 */

/*
 * Digests n strings, each with its NUL, so that no two lists of strings look
 * alike.  All zeros never comes out: it can stand for none.
 */
void digest_strings(uint8_t[DIGEST_LEN], size_t, const char *const *);

/*
 * The first digits of the SHA-256 of a text in lower case, with a NUL behind, in
 * a buffer of size bytes, at most 65: the same wherever it is asked for.
 */
void digest_public(const char *, char *, size_t size);

#endif /* DIGEST_H */
