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

#ifndef REASON_H
#define REASON_H

/* Why a message is blocked; the names are those of the reports. */
enum reason {
	REASON_NONE,
	REASON_USER, /* gone or changed while it was under way */
	REASON_NOT_ASSIGNED,
	REASON_NOT_IN_ACCOUNT,
	REASON_PLAN,
	REASON_SPF, /* up to what SPF says */
	REASON_SPF_NONE,
	REASON_SPF_SEVERAL,
	REASON_SPF_SYNTAX,
	REASON_SPF_INCLUDE,
	REASON_SPF_FAIL,
	REASON_SENDER,
	REASON_LITERAL,
	REASON_DOMAIN,
	REASON_FROM_MISSING,
	REASON_FROM_MULTIPLE,
	REASON_FROM_SPACE,
	REASON_FROM_LONG,
	REASON_FROM_AMBIGUOUS,
	REASON_HEADER,
	REASON_CONTROL,
	REASON_BODY
};

/* The reason's name, such as "domain-not-assigned"; "" for REASON_NONE. */
const char *reason_name(enum reason);

#endif /* REASON_H */
