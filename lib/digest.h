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

#ifndef DIGEST_H
#define DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_LEN 16

/*
 * Keyed digests of secrets (HMAC-SHA-256, RFC 2104, cut to 128 bits), for
 * telling whether something is what it was without keeping it.  The key is
 * drawn at the first use and lives and dies with the process.
 */

/*
 * Digests n strings, each with its NUL, so that no two lists of strings look
 * alike.  All zeros never comes out: it can stand for none.
 */
void digest_strings(uint8_t[DIGEST_LEN], size_t, const char *const *);

#endif /* DIGEST_H */
