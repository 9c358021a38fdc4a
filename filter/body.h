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

#ifndef BODY_H
#define BODY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether a line of a message's body, without its end, holds a dot between CRs
 * that end no line, or between one and an end of the line.  To a reader that
 * takes CR for an end of line (RFC 5321, 2.3.8, forbids it) that is the end of
 * the message, and what follows is another one, sent by the relay and judged
 * by nobody.  Other CRs are let through: programs do leave some.
 */
bool body_hides_end(const char *, size_t);

#endif /* BODY_H */
