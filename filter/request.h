/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef REQUEST_H
#define REQUEST_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "filterline.h"
#include "reason.h"
#include "user.h"

struct filter;
struct inquiry;
struct report_query;
struct session;

/*
 * A question of smtpd's that waits for its answer, smtpd-filters(7).  It
 * belongs to its session and goes with it; answering frees it.  smtpd ends over
 * an answer that it does not wait for, so each is answered exactly once.
 */
struct request {
	LIST_ENTRY(request) entry;
	struct filter	     *filter;
	struct session	     *session;
	uint64_t	      token;
	enum filterline_event event;
	enum reason	      reason; /* that it is refused for, if any */
	char domain[DOMAIN_TEXT];     /* that the reason is about, or "" */
	/* What its answer waits for, or NULL: */
	struct inquiry	    *inquiry;
	struct report_query *report;
	/* Whose log tells of what the report is about; "": nobody's. */
	char log_of[USER_NAME_MAX + 1];
	char account[USER_NAME_MAX + 1]; /* that user's */
};

/*
 * Takes a question.  NULL, and it is refused for the time being, when it cannot
 * be kept: its session is not known (NULL), or another one is still open, which
 * must find its message as it was.
 */
struct request *
request_new(struct filter *, struct session *, const struct filterline *);

/* Drops the questions of a session that has ended, without an answer. */
void request_drop_all(struct session *);

/*
 * The answers.  Each is logged and counted but the first two, and frees the
 * request.  The reply is a whole one, RFC 5321 4.2: code, enhanced code, text.
 */
void request_proceed(struct request *);
void request_rewrite(struct request *, const char *recipient);
void request_reject(struct request *, const char *reply);
void request_disconnect(struct request *, const char *reply);

/* As request_disconnect(), but not logged. */
void request_drop(struct request *, const char *reply);

#endif /* REQUEST_H */
