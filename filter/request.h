/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef REQUEST_H
#define REQUEST_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "domain.h"
#include "filterline.h"
#include "reason.h"
#include "user.h"

struct decision;
struct filter;
struct inquiry;
struct report_query;
struct session;

/*
 * A request of smtpd that waits for its answer, smtpd-filters(7).  Its session
 * owns it; answering frees it.  It must be answered exactly once, since smtpd
 * ends when it gets an answer that it does not wait for.
 */
struct request {
	LIST_ENTRY(request) entry;
	struct filter	     *filter;
	struct session	     *session;
	uint64_t	      token;
	enum filterline_event event;
	/* What its answer waits for, or NULL: */
	struct inquiry	    *inquiry;
	struct report_query *report;
	/* What the report is about. */
	enum reason reason;
	char	    domain[DOMAIN_TEXT]; /* that the reason is about, or "" */
	char	    user[USER_NAME_MAX + 1];
	char	    account[USER_NAME_MAX + 1];
	bool	    logged; /* the user's log tells of it */
};

/*
 * Takes a request of a session.  NULL, after having answered it with a
 * temporary error, if the session is not known (NULL), if another request of
 * the session is not answered yet, or when out of memory.
 */
struct request *
request_new(struct filter *, struct session *, const struct filterline *);

/* Frees the requests of a session that has ended, without an answer. */
void request_forget_all(struct session *);

/*
 * The answers, which free the request.  All but the first two are logged and
 * counted.
 */
void request_proceed(struct request *);
void request_rewrite(struct request *, const char *recipient);

/* Refuses as decided: ACTION_REJECT or ACTION_DISCONNECT. */
void request_refuse(struct request *, const struct decision *);

/* The same, but not logged. */
void request_refuse_quietly(struct request *, const struct decision *);

/* Refuses for now, out of memory or the like, at MAIL FROM or later. */
void request_tempfail(struct request *);

#endif /* REQUEST_H */
