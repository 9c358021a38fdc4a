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

#ifndef PERIOD_H
#define PERIOD_H

#include <stdbool.h>
#include <stdint.h>

/* Longest period: ten years, in seconds. */
#define PERIOD_MAX (3650LL * 86400)

/*
 * Reads a period of time as users and the configuration write it: a number
 * of seconds, or a number followed by s, m, h, d or w.  Zero, signs, spaces
 * and anything over PERIOD_MAX are errors.  The result is in seconds.
 */
bool period_parse(const char *, int64_t *);

#endif /* PERIOD_H */
