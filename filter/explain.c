/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "acl.h"
#include "conf.h"
#include "explain.h"
#include "filter.h"
#include "functions.h"
#include "quota.h"
#include "redisconn.h"
#include "report.h"
#include "spf.h"
#include "user.h"

struct explanation {
	struct filter	       filter; /* without sessions and journal */
	const struct question *question;
	struct user_query     *query;
	struct quota_query    *quota_query;
	struct event	      *patience; /* with a quota's answer */
	struct netaddr	       source;
	struct header	       header;
	struct domains	       envelope; /* what MAIL FROM judges */
	struct domains	       all;	 /* what the end of data does */
	enum reason	       envelope_reason;
	enum reason	       header_reason;
	bool		       told;  /* whom it is about */
	bool		       room;  /* in the quota, for one more */
	unsigned int	       asked; /* of SPF, which is there once needed */
	char		       name[USER_NAME_MAX + 1];
	int		       status;
};

/* Once, however often the user is judged. */
static void
print_user(struct explanation *ex, const struct user *user)
{
	static const char *const modes[] = { "default", "all", "any" };
	static const char *const statuses[] = { "allowed", "blocked",
		"sandboxed" };

	if (ex->told)
		return;
	ex->told = true;
	printf("user: %s\nmode: %s\nstatus: %s\n", user->name,
	    modes[user->mode], statuses[user->status]);
	if (user->account[0] != '\0')
		printf("account: %s\nplan: %s\n", user->account,
		    user->pro ? "pro" : "other");
}

static void
print_answer(const char *where, const char *reply, const char *reason,
    const char *domain)
{
	printf("where: %s\nreply: %s\n", where, reply);
	if (reason[0] != '\0')
		printf("reason: %s\n", reason);
	if (domain != NULL)
		printf("domain: %s\n", domain);
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
print_block(const struct explanation *ex, const char *where,
    const struct verdict *v)
{
	char reply[REPORT_REPLY];

	report_reply(ex->filter.conf, "ID", ex->name, reply);
	print_answer(where, reply, reason_name(v->reason), v->domain);
	if (v->record != NULL && v->record[0] != '\0')
		print_record(v->record);
}

static const struct spf_answer *
known(void *arg, const char *domain)
{
	struct explanation *ex = arg;

	return (ex->filter.spf != NULL ? spf_known(ex->filter.spf, domain)
				       : NULL);
}

/* What is judged at a place: blocked there, up to SPF, or allowed. */
static struct verdict
judge_at(struct explanation *ex, const struct user *user, enum reason reason,
    const struct domains *domains)
{
	struct verdict v = { reason, NULL, NULL };

	if (reason != REASON_NONE)
		return (v);
	return (acl_domains(ex->filter.conf, user, domains, known, ex));
}

static void
end(struct explanation *ex, int status)
{
	ex->status = status;
	event_base_loopbreak(ex->filter.base);
}

static void ask_user(struct explanation *);

static void
on_spf(void *arg, const struct spf_answer *answer)
{
	struct explanation *ex = arg;

	if (answer->verdict == SPF_VERDICT_UNKNOWN) {
		print_answer("end of data", REPLY_SPF, "", NULL);
		end(ex, EX_OK);
	} else
		ask_user(ex);
}

/* Has the workers ask, whereupon all is judged again, as the relay does. */
static void
ask_spf(struct explanation *ex, const char *domain)
{
	if (ex->filter.spf == NULL)
		ex->filter.spf = spf_new(ex->filter.base, ex->filter.conf);
	if (ex->filter.spf != NULL && ex->asked++ < DOMAINS_MAX &&
	    spf_ask(ex->filter.spf, ex->name, domain, on_spf, ex) != NULL)
		return;
	fprintf(stderr, "SPF cannot be asked about\n");
	end(ex, EX_UNAVAILABLE);
}

static void
on_patience(evutil_socket_t fd, short what, void *arg)
{
	struct explanation *ex = arg;

	(void)fd;
	(void)what;
	fprintf(stderr, "redis cannot be asked\n");
	end(ex, EX_UNAVAILABLE);
}

static void
on_room(void *arg, enum quota_result result, const char *reply)
{
	struct explanation *ex = arg;

	ex->quota_query = NULL;
	event_del(ex->patience);
	if (result == QUOTA_OK) {
		ex->room = true;
		ask_user(ex);
		return;
	}
	if (result == QUOTA_FULL)
		print_answer("MAIL FROM", reply, "quota", NULL);
	end(ex, result == QUOTA_FULL ? EX_OK : EX_DATAERR);
}

static void
ask_quota(struct explanation *ex)
{
	const struct timeval tv = conf_deadline(ex->filter.conf);

	event_add(ex->patience, &tv);
	ex->quota_query = quota_check(&ex->filter, ex->name, 1, on_room, ex);
	if (ex->quota_query == NULL)
		on_patience(-1, 0, ex);
}

static void
block(struct explanation *ex, const char *where, const struct verdict *v)
{
	print_block(ex, where, v);
	end(ex, EX_OK);
}

/*
 * What SPF decides about is judged at MAIL FROM where it is known by then,
 * otherwise at the end of data; a quota in between.
 */
static void
judge_domains(struct explanation *ex, const struct user *user)
{
	struct verdict v;

	v = judge_at(ex, user, ex->envelope_reason, &ex->envelope);
	if (v.reason != REASON_NONE && v.reason != REASON_SPF) {
		block(ex,
		    ex->asked > 0 ? "MAIL FROM or end of data" : "MAIL FROM",
		    &v);
		return;
	}
	if (quota_limited(user) && !ex->room) {
		ask_quota(ex);
		return;
	}
	if (v.reason == REASON_NONE)
		v = judge_at(ex, user, ex->header_reason, &ex->all);
	if (v.reason == REASON_SPF) {
		ask_spf(ex, v.domain);
		return;
	}
	if (v.reason != REASON_NONE) {
		block(ex, "end of data", &v);
		return;
	}
	print_answer("end of data",
	    user->status == STATUS_SANDBOXED
		? "250 accepted, and delivered nowhere"
		: "250 accepted",
	    "", NULL);
	end(ex, EX_OK);
}

static void
judge(struct explanation *ex, const struct user *user)
{
	print_user(ex, user);
	switch (acl_standing(USER_OK, user, &ex->source,
	    ex->question->source == NULL)) {
	case STANDING_USER:
		judge_domains(ex, user);
		return;
	case STANDING_SOURCE:
		print_answer("AUTH or MAIL FROM", REPLY_SOURCE,
		    "source-not-listed", NULL);
		break;
	default:
		print_answer("AUTH", REPLY_AUTH_FAILED, "user-blocked", NULL);
		break;
	}
	end(ex, EX_OK);
}

static void
on_user(void *arg, enum user_found found, const struct user *user)
{
	struct explanation *ex = arg;

	ex->query = NULL;
	switch (found) {
	case USER_OK:
		judge(ex, user);
		break;
	case USER_NONE:
		fprintf(stderr, "%s: no such user\n", ex->name);
		end(ex, EX_NOUSER);
		break;
	case USER_BAD:
		end(ex, EX_DATAERR);
		break;
	case USER_UNAVAILABLE:
		fprintf(stderr, "redis cannot be asked\n");
		end(ex, EX_UNAVAILABLE);
		break;
	}
}

static void
ask_user(struct explanation *ex)
{
	ex->query = user_ask(ex->filter.redis, ex->filter.conf, ex->name, 0,
	    &ex->all, on_user, ex);
	if (ex->query == NULL)
		on_user(ex, USER_UNAVAILABLE, NULL);
}

static void
on_ready(void *arg)
{
	ask_user(arg);
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
gather(struct explanation *ex)
{
	const struct question *q = ex->question;

	ex->envelope_reason = acl_envelope(ex->filter.conf, q->sender,
	    &ex->envelope);
	ex->all = ex->envelope;
	if (q->header == NULL && !acl_null_sender(q->sender))
		return;
	if (q->header != NULL)
		take_header(&ex->header, q->header);
	ex->header_reason = acl_header(ex->filter.conf, q->sender, &ex->header,
	    &ex->all);
}

static bool
start(struct explanation *ex)
{
	struct filter *f = &ex->filter;

	if ((f->base = event_base_new()) == NULL ||
	    (f->redis = redisconn_new(f->base, f->conf)) == NULL ||
	    (f->functions = functions_new(f->redis)) == NULL)
		return (false);
	ex->patience = evtimer_new(f->base, on_patience, ex);
	return (ex->patience != NULL);
}

static void
stop(struct explanation *ex)
{
	struct filter *f = &ex->filter;

	if (ex->query != NULL)
		user_cancel(ex->query);
	if (ex->quota_query != NULL)
		quota_cancel(ex->quota_query);
	event_free(ex->patience);
	spf_free(f->spf);
	functions_free(f->functions);
	redisconn_free(f->redis);
	event_base_free(f->base);
	header_clear(&ex->header);
}

int
explain(struct conf *conf, const struct question *question)
{
	static struct explanation ex;

	ex.filter.conf = conf;
	ex.question = question;
	ex.status = EX_UNAVAILABLE;
	if (!user_fold_name(question->name, ex.name)) {
		fprintf(stderr, "not the name of a user\n");
		return (EX_USAGE);
	}
	if (question->source != NULL &&
	    !netaddr_parse(question->source, &ex.source)) {
		fprintf(stderr, "%s: not an address\n", question->source);
		return (EX_USAGE);
	}
	gather(&ex);
	if (!start(&ex)) {
		fprintf(stderr, "cannot start\n");
		return (EX_UNAVAILABLE);
	}
	redisconn_when_ready(ex.filter.redis, on_ready, &ex);
	event_base_dispatch(ex.filter.base);
	stop(&ex);
	return (ex.status);
}
