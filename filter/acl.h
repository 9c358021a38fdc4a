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

#ifndef ACL_H
#define ACL_H

#include <stdbool.h>

#include "conf.h"
#include "domain.h"
#include "header.h"
#include "reason.h"
#include "session.h"
#include "spf.h"
#include "user.h"

/*
 * The rules, free of protocols: what a user may send as.  A decision is made
 * in three steps: the domains that a message claims are gathered, Redis is
 * asked about the user and all of them together, and its answer is judged.
 */

/* Whether a sender is the null one, "". */
bool acl_null_sender(const char *);

/*
 * Gathers the domain of the envelope sender, as smtpd writes it: without its
 * angle brackets.  Adds none where enforce does not ask for it, and none for
 * the null sender.  REASON_NONE, or why it cannot be let through.
 */
enum reason acl_envelope(const struct conf *, const char *, struct domains *);

/*
 * Gathers the domains of the From header, where enforce asks for it or the
 * envelope sender is null: then there is nothing else to judge by.
 */
enum reason acl_header(const struct conf *, const char *, const struct header *,
    struct domains *);

/*
 * What is known of the SPF of a domain: its answer, NULL when it has yet to be
 * asked about.
 */
typedef const struct spf_answer *(*acl_spf)(void *, const char *);

/* What becomes of the domains of a message. */
struct verdict {
	enum reason reason; /* REASON_NONE: all are allowed */
	const char *domain; /* the first that is not, or NULL */
	const char *record; /* its SPF record, or NULL */
};

/*
 * Judges a user whom user_ask() has brought with these domains.  REASON_SPF:
 * the domain named has yet to be asked about.
 */
struct verdict acl_domains(const struct conf *, const struct user *,
    const struct domains *, acl_spf, void *);

/* How a user stands towards a session. */
enum standing {
	STANDING_USER,	 /* may send */
	STANDING_NOBODY, /* not there, or blocked */
	STANDING_SOURCE, /* does not send from there */
	STANDING_UNKNOWN /* Redis cannot be asked, or the record is bad */
};

/*
 * Judges a user by status and source.  user is there for USER_OK alone;
 * trusted: the source is smtpd's own socket, which no list can hold.
 */
enum standing acl_standing(enum user_found, const struct user *,
    const struct netaddr *, bool trusted);

#endif /* ACL_H */
