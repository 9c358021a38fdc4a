/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
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
