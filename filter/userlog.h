/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef USERLOG_H
#define USERLOG_H

#include <stdint.h>

struct session;
struct writequeue;

/* About how many entries each of the two streams keeps. */
#define USERLOG_MAX 1000

/*
 * user:{NAME}:log, a stream of the user's logins and messages.  Failed logins
 * are in user:{NAME}:failed, since strangers can try many and would push out
 * the rest.  The time of an entry is its id.  Fields that do not apply are left
 * out:
 *
 *	event	login, message or recipient (that gets no mail)
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
 * Adds an entry.  name must be that of an existing user: others have no log.
 * prefix is that of the configuration.  Never waits.
 */
void userlog_add(struct writequeue *, const char *prefix,
    const struct session *, const char *name, const struct userlog_entry *);

#endif /* USERLOG_H */
