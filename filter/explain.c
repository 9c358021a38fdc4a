/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "conf.h"
#include "decide.h"
#include "explain.h"
#include "filter.h"
#include "functions.h"
#include "inquiry.h"
#include "report.h"
#include "servers.h"
#include "spf.h"
#include "spfworkers.h"
#include "users.h"

/* A session that never was, with one message. */
struct explanation {
	struct filter filter; /* without write queue: nothing is written */
	struct conf   conf;   /* as the question narrows it */
	const struct explain_question *question;
	struct session		       session;
	struct users_query	      *query;
	struct inquiry		      *inquiry;
	char			       name[USER_NAME_MAX + 1];
	int			       status;
};

static void
print_user(const struct user *user)
{
	static const char *const modes[] = { "default", "all", "any" };
	static const char *const statuses[] = { "allowed", "blocked",
		"sandboxed" };

	printf("user: %s\nmode: %s\nstatus: %s\n", user->name,
	    modes[user->mode], statuses[user->status]);
	if (user->account[0] != '\0')
		printf("account: %s\nplan: %s\n", user->account,
		    user->pro ? "pro" : "other");
}

/* A stranger has written it, and it goes to a terminal. */
static void
print_record(const char *record)
{
	printf("record: ");
	for (; *record != '\0'; record++)
		putchar(*record >= ' ' && *record <= '~' ? *record : '?');
	putchar('\n');
}

static void
print_answer(const char *where, const char *reply, enum reason reason)
{
	printf("where: %s\nreply: %s\n", where, reply);
	if (reason != REASON_NONE)
		printf("reason: %s\n", reason_name(reason));
}

static void
stop_with(struct explanation *ex, int status)
{
	ex->status = status;
	event_base_loopbreak(ex->filter.base);
}

static void
stop_with_answer(struct explanation *ex, const char *where, const char *reply,
    enum reason reason)
{
	print_answer(where, reply, reason);
	stop_with(ex, EX_OK);
}

static void
print_refusal(const struct explanation *ex, const char *where,
    const struct decision *d)
{
	char	    report[REPORT_REPLY], buf[DECISION_REPLY];
	const char *reply;

	if (d->action == ACTION_BLOCK)
		reply = report_reply(ex->filter.conf, "ID", ex->name, report);
	else
		reply = decide_reply(d, buf);
	print_answer(where, reply, d->reason);
	if (d->domain != NULL)
		printf("domain: %s\n", d->domain);
	if (d->record != NULL && d->record[0] != '\0')
		print_record(d->record);
}

/*
 * What SPF says of the envelope sender's domain blocks at MAIL FROM where it is
 * known by then.
 */
static const char *
stage_of(const struct explanation *ex, const char *stage,
    const struct decision *d)
{
	if (d->reason == REASON_SOURCE_NOT_LISTED ||
	    d->reason == REASON_SOURCE_LIST_MISSING)
		return (ex->filter.conf->source_refusal == REFUSE_AT_AUTH
			? "AUTH or MAIL FROM"
			: "MAIL FROM");
	if (d->action == ACTION_BLOCK && d->record != NULL && d->which == 0 &&
	    ex->question->sender[0] != '\0')
		return ("MAIL FROM or end of data");
	return (stage);
}

/* Whether the message went on at this stage; otherwise tells why not. */
static bool
goes_on(struct explanation *ex, const char *stage, const struct decision *d)
{
	if (d->action == ACTION_PROCEED || d->action == ACTION_SANDBOX)
		return (true);
	print_refusal(ex, stage_of(ex, stage, d), d);
	stop_with(ex, EX_OK);
	return (false);
}

static void
on_end_explained(void *arg, const struct decision *d, const struct user *user)
{
	struct explanation *ex = arg;

	(void)user;
	if (goes_on(ex, "end of data", d))
		stop_with_answer(ex, "end of data",
		    ex->session.tx->sandboxed
			? "250 accepted, and delivered nowhere"
			: "250 accepted",
		    REASON_NONE);
}

static void
ask_about(struct explanation *ex, enum stage stage, inquiry_cb cb)
{
	const struct inquiry_subject subject = { .stage = stage,
		.session = &ex->session,
		.sender = ex->question->sender,
		.dry = true,
		.expected = ex->name };

	inquiry_begin(&ex->filter, &subject, cb, ex, &ex->inquiry);
}

/* Takes the lines of a header as they would pass on their way. */
static void
take_header(struct header *h, const char *text)
{
	size_t len;

	while (*text != '\0') {
		len = strcspn(text, "\n");
		if (len > 0)
			header_line(h, text, len);
		text += len;
		if (*text == '\n')
			text++;
	}
}

static void
on_from_explained(void *arg, const struct decision *d, const struct user *user)
{
	struct explanation *ex = arg;
	struct tx	   *tx = ex->session.tx;

	if (!goes_on(ex, "MAIL FROM", d))
		return;
	decide_open(tx, ex->filter.conf, user, d);
	if (ex->question->header != NULL)
		take_header(&tx->header, ex->question->header);
	ask_about(ex, STAGE_END_OF_DATA, on_end_explained);
}

/*
 * How the user comes to be the session's: by a password, right as it is, from
 * anywhere where no source is given; else by the address.
 */
static void
log_in_as(struct explanation *ex, const struct user *user)
{
	struct session *s = &ex->session;

	strlcpy(s->name, user->name, sizeof(s->name));
	if (user->password[0] != '\0') {
		session_bind_to(s, LOGIN_BOUND, user->password);
		s->local = ex->question->source == NULL;
	} else if (ex->question->source == NULL)
		s->source = user->ip_auth;
}

static void
on_user_explained(void *arg, enum users_found found, const struct user *user)
{
	struct explanation *ex = arg;
	const struct facts  facts = { .stage = STAGE_LOGIN,
		 .conf = ex->filter.conf,
		 .session = &ex->session,
		 .found = found,
		 .user = user };
	struct decision	    d;

	ex->query = NULL;
	if (found == USER_NONE) {
		fprintf(stderr, "%s: no such user\n", ex->name);
		stop_with(ex, EX_NOUSER);
	} else if (found == USER_UNAVAILABLE) {
		fprintf(stderr, "redis cannot be asked\n");
		stop_with(ex, EX_UNAVAILABLE);
	} else if (found == USER_BAD)
		stop_with(ex, EX_DATAERR);
	if (user == NULL)
		return;
	print_user(user);
	d = decide(&facts);
	if (!goes_on(ex, "AUTH", &d))
		return;
	log_in_as(ex, user);
	ask_about(ex, STAGE_MAIL_FROM, on_from_explained);
}

static void
on_explain_ready(void *arg)
{
	struct explanation	   *ex = arg;
	const struct users_question question = { .name = ex->name };

	ex->query = users_ask(ex->filter.users, &question, on_user_explained,
	    ex);
	if (ex->query == NULL)
		on_user_explained(ex, USER_UNAVAILABLE, NULL);
}

static bool
explain_start(struct explanation *ex)
{
	struct filter *f = &ex->filter;

	if ((f->base = event_base_new()) == NULL ||
	    (f->servers = servers_new(f->base, f->conf)) == NULL ||
	    (f->users = users_new(f->servers, f->conf)) == NULL ||
	    (f->functions = functions_new(f->servers)) == NULL)
		return (false);
	f->quotas.base = f->base;
	f->quotas.conf = f->conf;
	f->quotas.functions = f->functions;
	return (session_begin_tx(&ex->session, ex->question->sender) != NULL);
}

static void
explain_stop(struct explanation *ex)
{
	struct filter *f = &ex->filter;

	if (ex->query != NULL)
		users_cancel(ex->query);
	if (ex->inquiry != NULL)
		inquiry_cancel(ex->inquiry);
	session_end_tx(&ex->session);
	spf_free(f->spf);
	spfworkers_free(f->workers);
	functions_free(f->functions);
	users_free(f->users);
	servers_free(f->servers);
	event_base_free(f->base);
}

/* Where no header is given the envelope sender alone is asked about. */
static void
narrow(struct explanation *ex, const struct conf *conf)
{
	ex->conf = *conf;
	ex->conf.local = LOCAL_TRUST;
	if (ex->question->header == NULL)
		ex->conf.enforce &= ~(unsigned int)ENFORCE_HEADER;
	ex->filter.conf = &ex->conf;
}

int
explain(const struct conf *conf, const struct explain_question *question)
{
	struct explanation ex = { .question = question,
		.status = EX_UNAVAILABLE };

	if (!user_fold_name(question->name, ex.name)) {
		fprintf(stderr, "not the name of a user\n");
		return (EX_USAGE);
	}
	if (question->source != NULL &&
	    !netaddr_parse(question->source, &ex.session.source)) {
		fprintf(stderr, "%s: not an address\n", question->source);
		return (EX_USAGE);
	}
	narrow(&ex, conf);
	if (!explain_start(&ex)) {
		fprintf(stderr, "cannot start\n");
		return (EX_UNAVAILABLE);
	}
	servers_when_ready(ex.filter.servers, on_explain_ready, &ex);
	event_base_dispatch(ex.filter.base);
	explain_stop(&ex);
	return (ex.status);
}
