/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "filter.h"
#include "inquiry.h"
#include "log.h"
#include "passwd.h"
#include "room.h"
#include "servers.h"
#include "spf.h"
#include "spfworkers.h"
#include "suppressed.h"

struct inquiry {
	struct filter	*filter;
	struct session	*session;
	inquiry_cb	 cb;
	void		*arg;
	struct inquiry **slot;	       /* of who has begun it */
	unsigned int	 spf_waits;    /* how often SPF was waited for */
	bool		 spf_given_up; /* it is waited for no more */
	struct facts	 facts;
	struct senders	 senders; /* at RCPT TO of the recipient */
	struct user	 user;	  /* that facts.user leads to */
	struct room	 room;
	struct event	*deadline;
	struct event	*retry; /* of the question about the user */
	/* Under way: */
	struct failures_query	*failures_query;
	struct users_query	*users_query;
	struct passwd_job	*passwd_job;
	struct spf_query	*spf_query;
	struct suppressed_query *suppressed_query;
	char			 name[USER_NAME_MAX + 1]; /* AUTH shows */
	char			*password;
};

static void proceed_with(struct inquiry *);

static void
inquiry_free(struct inquiry *inq)
{
	if (inq->failures_query != NULL)
		failures_cancel(inq->failures_query);
	if (inq->users_query != NULL)
		users_cancel(inq->users_query);
	if (inq->passwd_job != NULL)
		passwd_cancel(inq->passwd_job);
	if (inq->spf_query != NULL)
		spf_cancel(inq->spf_query);
	if (inq->suppressed_query != NULL)
		suppressed_cancel(inq->suppressed_query);
	if (inq->deadline != NULL)
		event_free(inq->deadline);
	if (inq->retry != NULL)
		event_free(inq->retry);
	if (inq->password != NULL)
		freezero(inq->password, strlen(inq->password));
	room_end(&inq->room);
	freezero(inq, sizeof(*inq));
}

void
inquiry_cancel(struct inquiry *inq)
{
	inquiry_free(inq);
}

static void
tell_decision(struct inquiry *inq, const struct decision *d)
{
	*inq->slot = NULL;
	inq->cb(inq->arg, d, inq->facts.user);
	inquiry_free(inq);
}

static void
on_inquiry_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct inquiry	     *inq = arg;
	const struct decision d = decide_tempfail(inq->facts.stage,
	    REASON_REDIS_UNAVAILABLE);

	(void)fd;
	(void)what;
	tell_decision(inq, &d);
}

/* A round of questions to Redis begins, which may take so long. */
static void
set_deadline(struct inquiry *inq)
{
	struct timeval tv = conf_deadline(inq->filter->conf);

	if (!event_pending(inq->deadline, EV_TIMEOUT, NULL))
		event_add(inq->deadline, &tv);
}

static bool
is_waiting(const struct inquiry *inq)
{
	return (inq->failures_query != NULL || inq->users_query != NULL ||
	    inq->passwd_job != NULL || room_is_asked(&inq->room) ||
	    inq->spf_query != NULL || inq->suppressed_query != NULL ||
	    event_pending(inq->retry, EV_TIMEOUT, NULL));
}

/*
 * Answers about SPF are the cache's, and good until others come in: after a
 * wait they are looked up again.
 */
static void
forget_answers(struct inquiry *inq)
{
	size_t i;

	for (i = 0; i < DOMAINS_MAX; i++)
		if (inq->facts.spf[i] == SPF_KNOWN)
			inq->facts.spf[i] = SPF_UNASKED;
}

/* Goes on once all that was asked in one go is there. */
static void
go_on(struct inquiry *inq)
{
	if (is_waiting(inq))
		return;
	forget_answers(inq);
	proceed_with(inq);
}

/*
 * A message that is all here is not sent back for a connection that was just
 * lost: until the deadline Redis is asked again.
 */
static bool
try_again(struct inquiry *inq)
{
	const struct timeval tv = { 0, SERVERS_RETRY };

	return (inq->facts.stage == STAGE_END_OF_DATA &&
	    event_add(inq->retry, &tv) == 0);
}

static void
on_inquiry_user(void *arg, enum users_found found, const struct user *user)
{
	struct inquiry *inq = arg;

	inq->users_query = NULL;
	if (found == USER_UNAVAILABLE && try_again(inq))
		return;
	inq->facts.found = found;
	inq->facts.user = NULL;
	if (user != NULL) {
		inq->user = *user;
		inq->facts.user = &inq->user;
	}
	if (room_is_others(&inq->room, user))
		room_forget(&inq->room);
	go_on(inq);
}

static void
ask_for_user(struct inquiry *inq)
{
	struct session	     *s = inq->session;
	struct users_question question = { .address = &s->source,
		.source = &s->source,
		.domains = &inq->senders.domains,
		.addresses = inq->facts.addresses,
		.suppresses = inq->facts.stage == STAGE_MAIL_FROM };

	if (inq->facts.stage == STAGE_AUTH)
		question.name = inq->name;
	else if (session_authenticated(s))
		question.name = s->name;
	set_deadline(inq);
	inq->users_query = users_ask(inq->filter->users, &question,
	    on_inquiry_user, inq);
	if (inq->users_query != NULL) {
		if (!room_is_asked(&inq->room))
			room_ask_if_likely(&inq->room, &question);
	} else if (!try_again(inq))
		inq->facts.found = USER_UNAVAILABLE;
}

static void
on_inquiry_retry(evutil_socket_t fd, short what, void *arg)
{
	struct inquiry *inq = arg;

	(void)fd;
	(void)what;
	ask_for_user(inq);
	go_on(inq);
}

static void
on_inquiry_password(void *arg, enum passwd_result result)
{
	struct inquiry *inq = arg;

	inq->passwd_job = NULL;
	inq->facts.password = result == PASSWD_RIGHT ? PASSWORD_FITS
						     : PASSWORD_FITS_NOT;
	go_on(inq);
}

static void
ask_for_password(struct inquiry *inq)
{
	event_del(inq->deadline);
	inq->passwd_job = passwd_check(inq->filter->pool, inq->name,
	    inq->password, inq->user.password, on_inquiry_password, inq);
	if (inq->passwd_job == NULL)
		inq->facts.password = PASSWORD_FITS_NOT;
}

/* Everything is asked anew: the user may have changed meanwhile. */
static void
forget_user(struct inquiry *inq)
{
	inq->facts.found = USER_UNASKED;
	inq->facts.user = NULL;
	memset(inq->facts.spf, 0, sizeof(inq->facts.spf));
}

static void
on_inquiry_spf(void *arg, const struct spf_answer *answer)
{
	struct inquiry *inq = arg;

	inq->spf_query = NULL;
	if (answer->verdict != SPF_VERDICT_UNKNOWN)
		forget_user(inq);
	else
		inq->spf_given_up = true;
	go_on(inq);
}

/* At MAIL FROM nobody waits: the answer will be there at the end of data. */
static void
ask_for_spf_early(struct inquiry *inq, size_t i)
{
	spf_ask(inq->filter->spf, inq->user.name, inq->user.account,
	    inq->senders.domains.name[i], NULL, NULL);
	inq->facts.spf[i] = SPF_LATER;
}

/* More questions than a message has domains are never needed. */
static void
wait_for_spf(struct inquiry *inq, size_t i)
{
	if (!inq->spf_given_up && inq->spf_waits++ < DOMAINS_MAX)
		inq->spf_query = spf_ask(inq->filter->spf, inq->user.name,
		    inq->user.account, inq->senders.domains.name[i],
		    on_inquiry_spf, inq);
	if (inq->spf_query != NULL)
		event_del(inq->deadline);
	else
		inq->facts.spf[i] = SPF_UNKNOWN;
}

/* explain has it started by the first question. */
static bool
has_spf(struct filter *f)
{
	if (f->workers == NULL)
		f->workers = spfworkers_new();
	if (f->spf == NULL && f->workers != NULL)
		f->spf = spf_new(f->base, f->conf, f->workers);
	return (f->spf != NULL);
}

static void
ask_for_spf(struct inquiry *inq, size_t i)
{
	struct filter		*f = inq->filter;
	const struct spf_answer *answer;

	if (!has_spf(f))
		inq->facts.spf[i] = SPF_UNKNOWN;
	else if ((answer = spf_known(f->spf, inq->senders.domains.name[i])) !=
	    NULL) {
		inq->facts.spf[i] = SPF_KNOWN;
		inq->facts.spf_answer[i] = answer;
	} else if (inq->facts.stage == STAGE_MAIL_FROM)
		ask_for_spf_early(inq, i);
	else
		wait_for_spf(inq, i);
}

static void
on_inquiry_failures(void *arg, enum failures_result result)
{
	static const enum logins_fact facts[] = { [FAILURES_FEW] = LOGINS_OK,
		[FAILURES_MANY] = LOGINS_FAILED,
		[FAILURES_UNREAD] = LOGINS_UNKNOWN };
	struct inquiry		     *inq = arg;

	inq->failures_query = NULL;
	inq->facts.logins = facts[result];
	go_on(inq);
}

static void
ask_for_logins(struct inquiry *inq)
{
	set_deadline(inq);
	inq->failures_query = failures_ask(&inq->filter->failures,
	    &inq->session->source, on_inquiry_failures, inq);
	if (inq->failures_query == NULL)
		inq->facts.logins = LOGINS_UNKNOWN;
}

static void
on_inquiry_suppressed(void *arg, enum suppressed_result result)
{
	static const enum recipient_fact facts[] = {
		[SUPPRESSED_NOT] = RECIPIENT_FREE,
		[SUPPRESSED_ALL] = RECIPIENT_SUPPRESSED,
		[SUPPRESSED_UNREAD] = RECIPIENT_UNKNOWN
	};
	struct inquiry *inq = arg;

	inq->suppressed_query = NULL;
	inq->facts.suppressed = facts[result];
	go_on(inq);
}

static void
ask_for_suppressed(struct inquiry *inq)
{
	struct filter *f = inq->filter;

	set_deadline(inq);
	inq->suppressed_query = suppressed_ask(f->servers, f->conf->prefix,
	    inq->session->tx, inq->facts.recipient, on_inquiry_suppressed, inq);
	if (inq->suppressed_query == NULL)
		inq->facts.suppressed = RECIPIENT_UNKNOWN;
}

/* False when it is a decision, and not a question. */
static bool
ask_for_fact(struct inquiry *inq, const struct decision *d)
{
	switch (d->action) {
	case ACTION_ASK_LOGINS:
		ask_for_logins(inq);
		return (true);
	case ACTION_ASK_USER:
		ask_for_user(inq);
		return (true);
	case ACTION_ASK_ADDRESSES:
		inq->facts.addresses = inq->senders.domains.name[d->which];
		ask_for_user(inq);
		return (true);
	case ACTION_ASK_PASSWORD:
		ask_for_password(inq);
		return (true);
	case ACTION_ASK_SPF:
		ask_for_spf(inq, d->which);
		return (true);
	case ACTION_ASK_ROOM:
		set_deadline(inq);
		room_ask(&inq->room, inq->user.name,
		    user_limited_account(&inq->user));
		return (true);
	case ACTION_ASK_SUPPRESSED:
		ask_for_suppressed(inq);
		return (true);
	default:
		return (false);
	}
}

static void
proceed_with(struct inquiry *inq)
{
	struct decision d;

	do {
		/* It may have been replaced meanwhile. */
		inq->facts.conf = inq->filter->conf;
		d = decide(&inq->facts);
		if (!ask_for_fact(inq, &d)) {
			tell_decision(inq, &d);
			return;
		}
	} while (!is_waiting(inq));
}

/* The session's copy of the envelope sender is cut where that is too long. */
static void
read_senders(struct inquiry *inq, const char *sender)
{
	const struct tx *tx = inq->session->tx;

	inq->facts.senders = &inq->senders;
	if (inq->facts.stage == STAGE_MAIL_FROM)
		inq->facts.sender_too_long = strlen(sender) >= SENDER_TEXT;
	if (inq->facts.stage == STAGE_MAIL_FROM)
		senders_of_envelope(&inq->senders, inq->filter->conf,
		    tx->sender);
	else if (inq->facts.stage == STAGE_END_OF_DATA && tx != NULL)
		senders_of_message(&inq->senders, inq->filter->conf, tx->sender,
		    &tx->header);
}

/* Where nobody asks what it is, it is not read. */
static void
read_recipient(struct inquiry *inq, const char *recipient)
{
	const struct tx *tx = inq->session->tx;

	inq->facts.recipient = &inq->senders.domains;
	if (tx != NULL && (tx->suppresses || tx->account_suppresses))
		suppressed_read(&inq->senders.domains, recipient);
}

static void
on_inquiry_room(void *arg)
{
	go_on(arg);
}

static bool
take_subject(struct inquiry *inq, const struct inquiry_subject *subject)
{
	inq->deadline = evtimer_new(inq->filter->base, on_inquiry_deadline,
	    inq);
	inq->retry = evtimer_new(inq->filter->base, on_inquiry_retry, inq);
	if (inq->deadline == NULL || inq->retry == NULL)
		return (false);
	if (subject->name != NULL)
		strlcpy(inq->name, subject->name, sizeof(inq->name));
	if (subject->password != NULL) {
		inq->facts.shows_password = true;
		if ((inq->password = strdup(subject->password)) == NULL)
			return (false);
	}
	if (subject->stage == STAGE_RCPT_TO)
		read_recipient(inq, subject->recipient);
	else
		read_senders(inq, subject->sender);
	return (true);
}

static struct decision
lacks_memory(enum stage stage)
{
	log_once("deciding: out of memory");
	return (decide_tempfail(stage, REASON_NONE));
}

void
inquiry_begin(struct filter *f, const struct inquiry_subject *subject,
    inquiry_cb cb, void *arg, struct inquiry **slot)
{
	struct decision d;
	struct inquiry *inq;

	if ((inq = calloc(1, sizeof(*inq))) == NULL) {
		d = lacks_memory(subject->stage);
		cb(arg, &d, NULL);
		return;
	}
	inq->filter = f;
	inq->room.quotas = &f->quotas;
	inq->room.users = f->users;
	inq->room.dry = subject->dry;
	inq->room.cb = on_inquiry_room;
	inq->room.arg = inq;
	inq->room.facts = &inq->facts;
	inq->facts.stage = subject->stage;
	inq->facts.expected = subject->expected;
	inq->facts.session = subject->session;
	inq->session = subject->session;
	inq->cb = cb;
	inq->arg = arg;
	inq->slot = slot;
	*slot = inq;
	if (take_subject(inq, subject)) {
		proceed_with(inq);
		return;
	}
	d = lacks_memory(subject->stage);
	tell_decision(inq, &d);
}
