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

#ifndef EXPLAIN_H
#define EXPLAIN_H

struct conf;

/* What a message would be, for explain(). */
struct question {
	const char *name;   /* of the user */
	const char *sender; /* envelope sender; "" is the null one */
	const char *header; /* fields, a line each; NULL: not asked */
	const char *source; /* address; NULL: any */
};

/*
 * Prints what the relay would answer to a message and by which rule, judged
 * by the code that judges real ones, `key: value` a line: user, mode, plan,
 * account, status; then where, reply, reason and domain.  Returns an exit
 * status of sysexits(3): EX_OK when there is an answer, EX_USAGE, EX_NOUSER,
 * EX_DATAERR for a bad record, EX_UNAVAILABLE without Redis.
 */
int explain(struct conf *, const struct question *);

#endif /* EXPLAIN_H */
