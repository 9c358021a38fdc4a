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

#include "alarms.h"
#include "charges.h"
#include "conf.h"
#include "filter.h"
#include "inquiry.h"
#include "passwd.h"
#include "quota.h"
#include "spf.h"
#include "spfworkers.h"
#include "suppressed.h"

#define RETRY 20000 /* microseconds */

struct inquiry {
	struct filter	*filter;
	struct session	*session;
	inquiry_cb	 cb;
	void		*arg;
	struct inquiry **slot; /* of who has begun it */
	bool		 dry;
	unsigned int	 spf_waits; /* how often SPF was waited for */
	struct facts	 facts;
	struct senders	 senders; /* at RCPT TO of the recipient */
	struct user	 user;	  /* that facts.user leads to */
	struct event	*deadline;
	struct event	*retry; /* of the question about the user */
	/* Under way: */
	struct failures_query	*failures_query;
	struct users_query	*users_query;
	struct passwd_job	*passwd_job;
	struct quota_query	*quota_query;
	struct spf_query	*spf_query;
	struct suppressed_query *suppressed_query;
	char			 name[USER_NAME_MAX + 1];      /* AUTH shows */
	char			 room_name[USER_NAME_MAX + 1]; /* whose room */
	char			 room_account[USER_NAME_MAX + 1];
	char			 room_domain[DOMAIN_TEXT];
	char			 room_reply[QUOTA_REPLY];
	char			 room_refusal[QUOTA_REPLY];
	char			*password;
};

static void proceed_with(struct inquiry *);

/* Gives back what the message does not need, as it has not passed. */
static void
give_back_reservation(struct inquiry *inq)
{
	struct tx *tx = inq->session->tx;

	if (inq->facts.stage != STAGE_END_OF_DATA || tx == NULL)
		return;
	if (tx->reservation == RESERVATION_MADE && tx->state != TX_PASSED)
		charges_refund(&inq->filter->quotas, tx->user,
		    tx->reservation_account, tx->reservation_id);
	if (tx->state != TX_PASSED)
		tx->reservation = RESERVATION_NONE;
}

static void
inquiry_free(struct inquiry *inq)
{
	if (inq->failures_query != NULL)
		failures_cancel(inq->failures_query);
	if (inq->users_query != NULL)
		users_cancel(inq->users_query);
	if (inq->passwd_job != NULL)
		passwd_cancel(inq->passwd_job);
	if (inq->quota_query != NULL)
		quota_cancel(inq->quota_query);
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
	give_back_reservation(inq);
	freezero(inq, sizeof(*inq));
}

void
inquiry_cancel(struct inquiry *inq)
{
	inquiry_free(inq);
}

static void
conclude(struct inquiry *inq, const struct decision *d)
{
	*inq->slot = NULL;
	inq->cb(inq->arg, d, inq->facts.user);
	inquiry_free(inq);
}

static void
conclude_tempfail(struct inquiry *inq)
{
	struct decision d = { .action = ACTION_REJECT,
		.reply = REPLY_TEMPFAIL,
		.reason = REASON_REDIS_UNAVAILABLE };

	if (inq->facts.stage == STAGE_CONNECT) {
		d.action = ACTION_DISCONNECT;
		d.reply = REPLY_AWAY;
	}
	conclude(inq, &d);
}

static void
on_inquiry_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conclude_tempfail(arg);
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
	    inq->passwd_job != NULL || inq->quota_query != NULL ||
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
	const struct timeval tv = { 0, RETRY };

	return (inq->facts.stage == STAGE_END_OF_DATA &&
	    event_add(inq->retry, &tv) == 0);
}

/* Room that was asked for is of no use. */
static void
forget_room(struct inquiry *inq)
{
	if (inq->quota_query != NULL)
		quota_cancel(inq->quota_query);
	inq->quota_query = NULL;
	give_back_reservation(inq);
	inq->facts.room = ROOM_UNASKED;
}

/* The user is not there, or another, or other limits count besides. */
static bool
is_others_room(const struct inquiry *inq, const struct user *user)
{
	return (user == NULL || strcmp(user->name, inq->room_name) != 0 ||
	    strcmp(user_limited_account(user), inq->room_account) != 0);
}

static void
on_inquiry_user(void *arg, enum users_found found, const struct user *user)
{
	struct inquiry *inq = arg;

	inq->users_query = NULL;
	if (found == USER_UNAVAILABLE && try_again(inq))
		return;
	inq->facts.user_asked = true;
	inq->facts.found = found;
	inq->facts.user = NULL;
	if (user != NULL) {
		inq->user = *user;
		inq->facts.user = &inq->user;
	}
	if (is_others_room(inq, user))
		forget_room(inq);
	go_on(inq);
}

static void
take_reply(struct inquiry *inq, const struct quota_answer *answer)
{
	strlcpy(inq->room_reply, answer->reply, sizeof(inq->room_reply));
	snprintf(inq->room_refusal, sizeof(inq->room_refusal), "550 5.7.1%s",
	    answer->reply + strlen("550 5.7.1"));
	inq->facts.room = ROOM_NONE;
	inq->facts.room_whose = answer->whose;
	strlcpy(inq->room_domain, answer->domain, sizeof(inq->room_domain));
	inq->facts.room_domain = inq->room_domain;
	inq->facts.room_reply = inq->room_reply;
	inq->facts.room_refusal = inq->room_refusal;
	inq->facts.room_passing = answer->passing;
}

/* {"alarm", what the user is by now, by which of them} */
static enum room_fact
room_of_alarm(const struct quota_words *words)
{
	if (words->n > 1 && strcmp(words->word[1], "sandbox") == 0)
		return (ROOM_SANDBOXED);
	return (words->n > 1 && strcmp(words->word[1], "block") == 0
		? ROOM_BLOCKED
		: ROOM_UNKNOWN);
}

static void
on_inquiry_room(void *arg, const struct quota_answer *answer)
{
	struct inquiry *inq = arg;
	struct tx      *tx = inq->session->tx;

	inq->quota_query = NULL;
	if (tx->reservation == RESERVATION_ASKED)
		tx->reservation = answer->result == QUOTA_OK ? RESERVATION_MADE
							     : RESERVATION_NONE;
	inq->facts.room = answer->result == QUOTA_OK ? ROOM_THERE
						     : ROOM_UNKNOWN;
	if (answer->result == QUOTA_FULL)
		take_reply(inq, answer);
	if (answer->result == QUOTA_ALARM)
		inq->facts.room = room_of_alarm(&answer->words);
	go_on(inq);
}

/* What the message counts as. */
static size_t
units_of(const struct conf *conf, const struct tx *tx)
{
	return (conf->quota_unit == UNIT_RECIPIENT && tx->recipients > 1
		? tx->recipients
		: 1);
}

static struct quota_query *
query_room(struct inquiry *inq, struct tx *tx,
    const struct quota_question *request)
{
	struct quotas *quotas = &inq->filter->quotas;

	if (inq->facts.stage != STAGE_END_OF_DATA || inq->dry)
		return (quota_check(quotas, request, on_inquiry_room, inq));
	quota_id(tx->reservation_id);
	strlcpy(tx->reservation_account, request->account,
	    sizeof(tx->reservation_account));
	tx->reservation = RESERVATION_ASKED;
	return (quota_reserve(quotas, request, tx->reservation_id,
	    on_inquiry_room, inq));
}

static void
write_alarms(struct inquiry *inq, struct alarms_words *words)
{
	const struct tx		   *tx = inq->session->tx;
	const struct alarms_message message = { .limits = &tx->alarms,
		.source = &inq->session->source,
		.recipients = tx->recipients,
		.digests = &tx->recipients_seen };

	alarms_write(inq->filter->conf, &message, words);
}

/* The domains that the message counts for. */
static size_t
counted_domains(const struct senders *senders, const char *names[DOMAINS_MAX])
{
	size_t i, n = 0;

	for (i = 0; i < senders->domains.n; i++)
		if (senders->counted >> i & 1)
			names[n++] = senders->domains.name[i];
	return (n);
}

static void
ask_for_room(struct inquiry *inq, const char *name, const char *account)
{
	const char	     *domains[DOMAINS_MAX];
	struct alarms_words   words;
	struct quota_tag      tags[] = { { "senders", 0, domains },
		     { "alarms", ALARMS_VALUES, words.values } };
	struct quota_question request = {
		.user = name, .account = account, .ntags = 1, .tags = tags
	};
	struct tx *tx = inq->session->tx;

	strlcpy(inq->room_name, name, sizeof(inq->room_name));
	strlcpy(inq->room_account, account, sizeof(inq->room_account));
	tags[0].n = counted_domains(inq->facts.senders, domains);
	if (tx != NULL) {
		request.units = units_of(inq->filter->conf, tx);
		if (!inq->dry && decide_alarmed(&inq->facts)) {
			write_alarms(inq, &words);
			request.ntags = 2;
		}
		inq->quota_query = query_room(inq, tx, &request);
	}
	if (inq->quota_query != NULL)
		return;
	if (tx != NULL)
		tx->reservation = RESERVATION_NONE;
	inq->facts.room = ROOM_UNKNOWN;
}

/*
 * Whether the message is from nobody but the domain that MAIL FROM was accepted
 * of, whatever SPF says: what alarms count of it is not all undone.
 */
static bool
is_of_envelope(const struct inquiry *inq)
{
	const struct domains *domains = &inq->senders.domains;
	struct senders	      envelope;

	if (inq->session->tx->any_domain)
		return (false);
	senders_of_envelope(&envelope, inq->filter->conf,
	    inq->session->tx->sender);
	return (envelope.domains.n == 1 && domains->n == 1 &&
	    strcmp(envelope.domains.name[0], domains->name[0]) == 0);
}

/* Whether the user will have limits, or alarms that count the message. */
static bool
guess_room(const struct inquiry *inq, const struct users_question *question,
    char name[USER_NAME_MAX + 1], char account[USER_NAME_MAX + 1])
{
	bool limited;

	name[0] = account[0] = '\0';
	limited = users_guess_limited(inq->filter->users, question, name,
	    account);
	if (!decide_alarmed(&inq->facts))
		return (limited);
	strlcpy(name, inq->session->tx->user, USER_NAME_MAX + 1);
	return (is_of_envelope(inq));
}

/*
 * Where the last answer about the user makes it likely, room is asked for
 * along with the user: it is given back should it not be needed.
 */
static void
ask_for_likely_room(struct inquiry *inq, const struct users_question *question)
{
	const struct facts *f = &inq->facts;
	char		    name[USER_NAME_MAX + 1];
	char		    account[USER_NAME_MAX + 1];

	if (f->stage == STAGE_AUTH || f->room != ROOM_UNASKED ||
	    f->senders->reason != REASON_NONE ||
	    !guess_room(inq, question, name, account))
		return;
	if (f->stage == STAGE_END_OF_DATA &&
	    (inq->session->tx->hidden_end ||
		strcmp(name, inq->session->tx->user) != 0))
		return;
	ask_for_room(inq, name, account);
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
		if (inq->quota_query == NULL)
			ask_for_likely_room(inq, &question);
	} else if (!try_again(inq)) {
		inq->facts.user_asked = true;
		inq->facts.found = USER_UNAVAILABLE;
	}
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
	inq->facts.user_asked = false;
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
		inq->spf_waits = DOMAINS_MAX;
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
	if (inq->spf_waits++ < DOMAINS_MAX)
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
		ask_for_room(inq, inq->user.name,
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
			conclude(inq, &d);
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

static bool
take_subject(struct inquiry *inq, const struct inquiry_subject *subject)
{
	inq->deadline = evtimer_new(inq->filter->base, on_inquiry_deadline,
	    inq);
	inq->retry = evtimer_new(inq->filter->base, on_inquiry_retry, inq);
	if (inq->deadline == NULL || inq->retry == NULL)
		return (false);
	inq->dry = subject->dry;
	inq->facts.stage = subject->stage;
	inq->facts.session = subject->session;
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

void
inquiry_begin(struct filter *f, const struct inquiry_subject *subject,
    inquiry_cb cb, void *arg, struct inquiry **slot)
{
	const struct decision tempfail = { .action = ACTION_REJECT,
		.reply = REPLY_TEMPFAIL,
		.reason = REASON_REDIS_UNAVAILABLE };
	struct inquiry	     *inq;

	if ((inq = calloc(1, sizeof(*inq))) == NULL) {
		cb(arg, &tempfail, NULL);
		return;
	}
	inq->filter = f;
	inq->session = subject->session;
	inq->cb = cb;
	inq->arg = arg;
	inq->slot = slot;
	*slot = inq;
	if (take_subject(inq, subject))
		proceed_with(inq);
	else
		conclude_tempfail(inq);
}
