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

#ifndef JOURNAL_H
#define JOURNAL_H

#include <stddef.h>

struct event_base;
struct journal;
struct redisconn;

/*
 * What is to be written to Redis for people to read, and must neither hold up
 * a session nor get lost with a connection: kept until Redis has said that it
 * is written, and sent again when it has not.  An entry whose reply was lost
 * may so be written twice.
 */

/* Bytes kept at most; above it the oldest entry makes room. */
#define JOURNAL_MAX (4 << 20)

/* Commands of one entry at most. */
#define JOURNAL_COMMANDS 2

struct command {
	int	     argc;
	const char **argv;
};

/* The connection must outlive the journal. */
struct journal *journal_new(struct event_base *, struct redisconn *);

/* Drops what is not written yet. */
void journal_free(struct journal *);

/*
 * Writes commands, in one go and in their order.  They are copied.  All are
 * sent again when one was not written.
 */
void journal_write(struct journal *, size_t, const struct command *);

#endif /* JOURNAL_H */
