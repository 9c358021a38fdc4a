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
 * Fetches the facts that decide() asks for, until it decides.  A round of
 * questions to Redis may take as long as conf_deadline() says; then it is
 * REPLY_TEMPFAIL.  SPF, and the password of AUTH, have time limits of their own.
 */

/* What it is about.  The strings are copied, or not needed any longer. */
struct inquiry_subject {
	enum stage	stage;
	struct session *session;
	const char     *name;	   /* AUTH: that it shows, folded */
	const char     *password;  /* AUTH: that it shows; NULL: none */
	const char     *sender;	   /* MAIL FROM: of any length */
	const char     *recipient; /* RCPT TO */
	bool		dry;	   /* reserve nothing */
};

/*
 * Takes the decision, which is never to ask for anything.  user is whom the
 * session turned out to be, or NULL.  Both are gone when it returns.
 */
typedef void (*inquiry_cb)(void *, const struct decision *,
    const struct user *);

/*
 * Calls back exactly once, maybe from within; with REPLY_TEMPFAIL when out
 * of memory.  Until then *slot leads to the inquiry, afterwards it is NULL.
 */
void inquiry_begin(struct filter *, const struct inquiry_subject *, inquiry_cb,
    void *, struct inquiry **slot);

/* Cancels it, without a callback, and gives back what was reserved. */
void inquiry_cancel(struct inquiry *);

#endif /* INQUIRY_H */
