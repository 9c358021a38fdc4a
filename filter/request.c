/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide.h"
#include "filter.h"
#include "inquiry.h"
#include "lineio.h"
#include "log.h"
#include "report.h"
#include "request.h"
#include "tally.h"
#include "totals.h"

static void
request_free(struct request *req)
{
	LIST_REMOVE(req, entry);
	if (req->inquiry != NULL)
		inquiry_cancel(req->inquiry);
	if (req->report != NULL)
		report_cancel(req->report);
	free(req);
}

static void
write_result(struct filter *f, uint64_t session, uint64_t token,
    const char *result, const char *param)
{
	lineio_printf(f->io,
	    "filter-result|%016" PRIx64 "|%016" PRIx64 "|%s%s%s\n", session,
	    token, result, param[0] != '\0' ? "|" : "", param);
}

static void
answer_request(struct request *req, const char *result, const char *param)
{
	write_result(req->filter, req->session->id, req->token, result, param);
	request_free(req);
}

static const char *
name_of(enum filterline_event event)
{
	switch (event) {
	case EV_CONNECT:
		return ("connect");
	case EV_AUTH:
		return ("auth");
	case EV_MAIL_FROM:
		return ("mail-from");
	case EV_RCPT_TO:
		return ("rcpt-to");
	case EV_COMMIT:
		return ("commit");
	default:
		return ("request");
	}
}

static void
log_refusal(const struct request *req, const struct decision *d)
{
	const struct session *s = req->session;
	const char	     *user = session_user(s);
	char		      source[NETADDR_TEXT], reply[DECISION_REPLY];

	if (req->event == EV_AUTH)
		user = s->name;
	log_session(s->id, "%s refused: user=%s source=%s reply=\"%s\"%s%s%s%s",
	    name_of(req->event), user[0] != '\0' ? user : "-",
	    session_source(s, source), decide_reply(d, reply),
	    d->reason != REASON_NONE ? " reason=" : "", reason_name(d->reason),
	    d->domain != NULL ? " domain=" : "",
	    d->domain != NULL ? d->domain : "");
}

/* The one place where what we refuse is counted. */
static void
count_refusal(struct filter *f, enum filterline_event event,
    const struct decision *d)
{
	enum totals_event what = TOTALS_MESSAGE;

	if (d->outcome == OUTCOME_UNDECIDED)
		tally_add(TALLY_TEMPORARY_FAILURES, 1);
	if (event == EV_CONNECT)
		what = TOTALS_CONNECTION;
	else if (event == EV_AUTH)
		what = TOTALS_LOGIN;
	else if (event == EV_RCPT_TO)
		what = TOTALS_RECIPIENT;
	totals_count(f->totals, what,
	    d->outcome == OUTCOME_FOR_GOOD ? TOTALS_REFUSED : TOTALS_DEFERRED,
	    d->reason, 1);
}

void
request_proceed(struct request *req)
{
	answer_request(req, "proceed", "");
}

void
request_rewrite(struct request *req, const char *recipient)
{
	char param[256];

	snprintf(param, sizeof(param), "<%s>", recipient);
	answer_request(req, "rewrite", param);
}

void
request_refuse(struct request *req, const struct decision *d)
{
	log_refusal(req, d);
	request_refuse_quietly(req, d);
}

void
request_refuse_quietly(struct request *req, const struct decision *d)
{
	char reply[DECISION_REPLY];

	count_refusal(req->filter, req->event, d);
	answer_request(req,
	    d->action == ACTION_DISCONNECT ? "disconnect" : "reject",
	    decide_reply(d, reply));
}

void
request_tempfail(struct request *req)
{
	const struct decision d = decide_tempfail(STAGE_MAIL_FROM, REASON_NONE);

	request_refuse(req, &d);
}

static void
turn_away(struct filter *f, const struct filterline *fl, const char *why)
{
	const struct decision d = decide_tempfail(STAGE_MAIL_FROM, REASON_NONE);

	log_once("a request of smtpd is refused with 451: %s", why);
	count_refusal(f, fl->event, &d);
	write_result(f, fl->session, fl->token, "reject", d.reply);
}

struct request *
request_new(struct filter *f, struct session *s, const struct filterline *fl)
{
	struct request *req;

	if (s == NULL) {
		turn_away(f, fl, "its session is not known");
		return (NULL);
	}
	if (!LIST_EMPTY(&s->requests)) {
		turn_away(f, fl, "another of its session is not answered yet");
		return (NULL);
	}
	if ((req = calloc(1, sizeof(*req))) == NULL) {
		turn_away(f, fl, "out of memory");
		return (NULL);
	}
	req->filter = f;
	req->session = s;
	req->token = fl->token;
	req->event = fl->event;
	LIST_INSERT_HEAD(&s->requests, req, entry);
	return (req);
}

void
request_forget_all(struct session *s)
{
	struct request *req, *next;

	LIST_FOREACH_SAFE(req, &s->requests, entry, next)
		request_free(req);
}
