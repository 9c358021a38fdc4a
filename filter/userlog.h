/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef USERLOG_H
#define USERLOG_H

#include <stdint.h>

struct session;
struct writequeue;

/* Entries that each of the two streams keeps, about. */
#define USERLOG_MAX 1000

/*
 * user:{NAME}:log, a stream of what happened to the user's logins and
 * messages, and user:{NAME}:failed, of logins that were not accepted: strangers
 * can try as many as they like, and push nothing else out.  The time of an
 * entry is its id.  Fields that do not apply are left out:
 *
 *	event	login, message or recipient, which is one that gets no mail
 *	result	accepted, refused, failed (by smtpd, after we accepted it)
 *	reply	the client's, where we know it
 *	source, session, message, sender, recipient, recipients, suppressed,
 *	size, report
 *
 * user:{NAME}:last, a hash: when the last login and the last message of the
 * user were accepted, longer than their entries are kept.
 */

/* What happened; the session, and its message, say the rest. */
struct userlog_entry {
	const char *event;
	const char *result;
	const char *reply;     /* or NULL */
	const char *report;    /* its id, or NULL */
	const char *recipient; /* or NULL */
	int64_t	    size;      /* of the message in bytes; -1: not known */
};

/*
 * Adds an entry.  name must be the name of a user who is there: others get no
 * log.  prefix is that of the configuration.
 */
void userlog_add(struct writequeue *, const char *prefix,
    const struct session *, const char *name, const struct userlog_entry *);

#endif /* USERLOG_H */
