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

#ifndef USERLOG_H
#define USERLOG_H

#include <stdint.h>

struct filter;
struct session;

/* Entries that a user's log keeps, about. */
#define USERLOG_MAX 1000

/*
 * user:{NAME}:log, a stream of what happened to the user's logins and
 * messages.  The time of an entry is its id.  Fields that do not apply are
 * left out:
 *
 *	event	login or message
 *	result	accepted, refused, failed (by smtpd, after we accepted it)
 *	reply	the client's, where we know it
 *	source, session, message, sender, recipients, size, report
 *
 * user:{NAME}:last, a hash: when the last login and the last message of the
 * user were accepted, longer than their entries are kept.
 */

/*
 * Adds an entry.  name must be the name of a user who is there: others get no
 * log.  reply and report may be NULL, size -1.
 */
void userlog_add(struct filter *, const struct session *, const char *name,
    const char *event, const char *result, const char *reply,
    const char *report, int64_t size);

#endif /* USERLOG_H */
