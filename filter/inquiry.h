/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef INQUIRY_H
#define INQUIRY_H

#include <stdbool.h>

#include "decide.h"

struct filter;
struct inquiry;

/*
 * Fetches the facts that decide() asks for, until it decides.  Questions to
 * Redis may take conf_deadline() together; then it is decide_tempfail().  SPF, and the password of AUTH, have time limits of their own.
 */

/* What it is about.  The strings need to be valid only during the call. */
struct inquiry_subject {
	enum stage	stage;
	struct session *session;
	const char     *name;	   /* AUTH: that it shows, folded */
	const char     *password;  /* AUTH: that it shows; NULL: none */
	const char     *sender;	   /* MAIL FROM: of any length */
	const char     *recipient; /* RCPT TO */
	bool		dry;	   /* reserve nothing */
	const char     *expected;  /* as in the facts; must stay valid */
};

/*
 * Gets the decision, which is never to ask for a fact.  user is the user of the
 * session, or NULL if not known.  Both are valid only during the call.
 */
typedef void (*inquiry_cb)(void *, const struct decision *,
    const struct user *);

/*
 * Calls back exactly once, perhaps before it returns; with decide_tempfail()
 * when out of memory.  Until then *slot points to the inquiry, afterwards it is
 * NULL.
 */
void inquiry_begin(struct filter *, const struct inquiry_subject *, inquiry_cb,
    void *, struct inquiry **slot);

/* Cancels it: the callback is not called, and a reservation is given back. */
void inquiry_cancel(struct inquiry *);

#endif /* INQUIRY_H */
