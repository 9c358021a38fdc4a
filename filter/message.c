/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <inttypes.h>
#include <string.h>

#include "alarms.h"
#include "body.h"
#include "charges.h"
#include "conf.h"
#include "decide.h"
#include "filter.h"
#include "inquiry.h"
#include "log.h"
#include "message.h"
#include "owners.h"
#include "quota.h"
#include "report.h"
#include "request.h"
#include "spf.h"
#include "totals.h"
#include "userlog.h"

#define SANDBOX "sandbox@sandbox.invalid"

/* Of a message, lest they push all else out of the log. */
#define SUPPRESSED_TOLD 10

/* Tells the user's log of a message. */
static void
log_message(struct filter *f, const struct session *s, const char *name,
    const char *result, const char *reply, const char *report, int64_t size)
{
	const struct userlog_entry entry = { .event = "message",
		.result = result,
		.reply = reply,
		.report = report,
		.size = size };

	userlog_add(f->writequeue, f->conf->prefix, s, name, &entry);
}

static void
count_block(struct filter *f, const char *name, const char *account)
{
	const struct totals_share share = { .blocks = 1 };

	totals_add(f->totals, name, account, &share);
}

/*
 * Whose log tells of a refusal: the user's who was found, or, where Redis gave
 * no answer, the one's whose the session is.  "": nobody's.  The source may
 * authenticate another user by now, who has no part in the message.
 */
static const char *
concerned(const struct request *req, const struct decision *d,
    const struct user *user)
{
	const struct session *s = req->session;

	if (user == NULL)
		return (d->outcome == OUTCOME_UNDECIDED ? session_user(s) : "");
	if (s->tx->state == TX_OPEN && strcmp(user->name, s->tx->user) != 0)
		return ("");
	return (user->name);
}

static void
refuse_message(struct request *req, const struct decision *d,
    const struct user *user)
{
	const char *name = concerned(req, d, user);
	char	    reply[DECISION_REPLY];

	if (name[0] != '\0') {
		log_message(req->filter, req->session, name, "refused",
		    decide_reply(d, reply), NULL, -1);
		if (d->outcome == OUTCOME_FOR_GOOD)
			count_block(req->filter, name,
			    user != NULL ? user->account : "");
	}
	request_refuse(req, d);
}

/* The reply names no report that is not there. */
static void
on_reported(void *arg, const char *id)
{
	struct request *req = arg;
	struct decision d = decide_tempfail(STAGE_MAIL_FROM,
	    REASON_REDIS_UNAVAILABLE);
	char		buf[REPORT_REPLY];

	if (id != NULL) {
		d.outcome = OUTCOME_FOR_GOOD;
		d.reply = report_reply(req->filter->conf, id, req->user, buf);
		d.reason = req->reason;
	}
	if (req->domain[0] != '\0')
		d.domain = req->domain;
	if (req->logged) {
		log_message(req->filter, req->session, req->user, "refused",
		    d.reply, id, -1);
		if (id != NULL)
			count_block(req->filter, req->user, req->account);
	}
	request_refuse(req, &d);
}

/* Not what is blocked because the user is. */
static void
count_blocked(struct filter *f, const struct decision *d,
    const struct user *user)
{
	struct alarm_limits limits;

	if (d->reason == REASON_ALARM || d->reason == REASON_USER_CHANGED ||
	    user->status != STATUS_ALLOWED)
		return;
	alarms_limits(f->conf, user, &limits);
	alarms_blocked(&f->alarms, user->name, &limits);
}

static void
block_message(struct request *req, const struct decision *d,
    const struct user *user)
{
	struct session *s = req->session;
	struct report	report = { .reason = d->reason,
		  .domain = d->domain,
		  .user = req->user,
		  .spf = d->record };
	const bool theirs = user != NULL && concerned(req, d, user)[0] != '\0';

	req->reason = d->reason;
	if (d->domain != NULL)
		strlcpy(req->domain, d->domain, sizeof(req->domain));
	strlcpy(req->user, theirs ? user->name : s->tx->user,
	    sizeof(req->user));
	if (theirs) {
		strlcpy(req->account, user->account, sizeof(req->account));
		report.account = req->account;
		req->logged = true;
		count_blocked(req->filter, d, user);
	}
	report_write(&req->filter->reports, s, &report, on_reported, req,
	    &req->report);
}

static void
refuse_or_block(struct request *req, const struct decision *d,
    const struct user *user)
{
	if (d->action == ACTION_BLOCK)
		block_message(req, d, user);
	else
		refuse_message(req, d, user);
}

static void
on_from_decided(void *arg, const struct decision *d, const struct user *user)
{
	struct request *req = arg;

	if (d->action != ACTION_PROCEED && d->action != ACTION_SANDBOX) {
		refuse_or_block(req, d, user);
		return;
	}
	decide_open(req->session->tx, req->filter->conf, user, d);
	request_proceed(req);
}

void
message_from(struct request *req, const char *sender)
{
	const struct inquiry_subject subject = { .stage = STAGE_MAIL_FROM,
		.session = req->session,
		.sender = sender };

	if (session_begin_tx(req->session, sender) == NULL) {
		request_tempfail(req);
		return;
	}
	inquiry_begin(req->filter, &subject, on_from_decided, req,
	    &req->inquiry);
}

/* Tells the user's log of a recipient that the user's list has refused. */
static void
log_recipient(const struct request *req, const struct decision *d)
{
	struct tx		  *tx = req->session->tx;
	const struct userlog_entry entry = { .event = "recipient",
		.result = "refused",
		.reply = d->reply,
		.recipient = tx->to,
		.size = -1 };

	if ((d->reason != REASON_RECIPIENT_SUPPRESSED &&
		d->reason != REASON_RECIPIENT_UNREADABLE) ||
	    ++tx->suppressed > SUPPRESSED_TOLD)
		return;
	userlog_add(req->filter->writequeue, req->filter->conf->prefix,
	    req->session, tx->user, &entry);
}

/* It has been counted, and is not let through. */
static void
forget_recipient(struct tx *tx)
{
	tx->recipients--;
	alarms_drop(&tx->recipients_seen);
	memset(tx->recipient, 0, sizeof(tx->recipient));
}

static void
on_to_decided(void *arg, const struct decision *d, const struct user *user)
{
	struct request *req = arg;
	struct tx      *tx = req->session->tx;

	(void)user;
	if (d->action == ACTION_SANDBOX)
		request_rewrite(req, SANDBOX);
	else if (d->action == ACTION_PROCEED)
		request_proceed(req);
	else {
		if (tx != NULL) {
			forget_recipient(tx);
			log_recipient(req, d);
		}
		request_refuse(req, d);
	}
}

/* False when memory is short. */
static bool
count_recipient(struct tx *tx, const char *recipient)
{
	if (tx->alarmed && alarms_count(&tx->alarms, ALARM_RECIPIENTS) &&
	    !alarms_add(&tx->recipients_seen, recipient))
		return (false);
	tx->recipients++;
	digest_strings(tx->recipient, 1, &recipient);
	return (true);
}

void
message_to(struct request *req, const char *recipient)
{
	const struct inquiry_subject subject = { .stage = STAGE_RCPT_TO,
		.session = req->session,
		.recipient = recipient };
	struct tx		    *tx = req->session->tx;

	if (tx != NULL && !count_recipient(tx, recipient)) {
		request_tempfail(req);
		return;
	}
	if (tx != NULL && (tx->suppresses || tx->account_suppresses))
		strlcpy(tx->to, recipient, sizeof(tx->to));
	inquiry_begin(req->filter, &subject, on_to_decided, req, &req->inquiry);
}

void
message_recipient_settled(struct session *s, const char *recipient, bool taken)
{
	struct tx *tx = s->tx;
	uint8_t	   digest[DIGEST_LEN];

	if (tx == NULL)
		return;
	digest_strings(digest, 1, &recipient);
	if (memcmp(digest, tx->recipient, sizeof(digest)) != 0)
		return;
	if (taken)
		memset(tx->recipient, 0, sizeof(tx->recipient));
	else
		forget_recipient(tx);
}

/* What SPF will be asked about at the end of data is asked early. */
static void
header_complete(struct filter *f, struct session *s)
{
	struct domains domains = { .n = 0 };
	size_t	       i;

	if (f->spf == NULL || !s->tx->any_domain ||
	    header_domains(&s->tx->header, &domains) != REASON_NONE)
		return;
	for (i = 0; i < domains.n; i++)
		if (spf_known(f->spf, domains.name[i]) == NULL)
			spf_ask(f->spf, s->tx->user, s->tx->account,
			    domains.name[i], NULL, NULL);
}

void
message_line(struct filter *f, struct session *s, const char *text, size_t len)
{
	struct tx *tx = s->tx;

	if (tx == NULL)
		return;
	/* CR LF is behind it, RFC 1870 5; the dot at the end is no part. */
	if (len != 1 || text[0] != '.')
		tx->size += len + 2;
	if (body_hides_end(text, len))
		tx->hidden_end = true;
	if (tx->header.done)
		return;
	header_line(&tx->header, text, len);
	if (tx->header.done)
		header_complete(f, s);
}

void
message_damaged(struct session *s)
{
	if (s->tx != NULL)
		s->tx->damaged = true;
}

static void
on_end_decided(void *arg, const struct decision *d, const struct user *user)
{
	struct request *req = arg;

	if (d->action != ACTION_PROCEED) {
		refuse_or_block(req, d, user);
		return;
	}
	if (req->session->tx->state == TX_OPEN)
		req->session->tx->state = TX_PASSED;
	request_proceed(req);
}

void
message_end(struct request *req)
{
	const struct inquiry_subject subject = { .stage = STAGE_END_OF_DATA,
		.session = req->session };

	inquiry_begin(req->filter, &subject, on_end_decided, req,
	    &req->inquiry);
}

/*
 * Names the user in the log: smtpd does so itself where somebody has logged
 * in, and knows of nobody whom the address has authenticated.
 */
static void
log_taken(const struct session *s)
{
	char source[NETADDR_TEXT];

	if (session_authenticated(s))
		return;
	log_session(s->id,
	    "message accepted: user=%s source=%s msgid=%08" PRIx32, s->tx->user,
	    session_source(s, source), s->tx->msgid);
}

static void
count_taken(struct filter *f, const struct tx *tx, enum totals_result result,
    uint64_t size)
{
	totals_count(f->totals, TOTALS_MESSAGE, result, REASON_NONE, 1);
	totals_count(f->totals, TOTALS_RECIPIENT, result, REASON_NONE,
	    tx->recipients);
	totals_count(f->totals, TOTALS_BYTES, result, REASON_NONE, size);
}

static void
count_users(struct filter *f, const struct tx *tx, uint64_t size)
{
	const struct totals_share share = {
		.messages = 1, .recipients = tx->recipients, .bytes = size
	};

	count_taken(f, tx, tx->sandboxed ? TOTALS_SANDBOXED : TOTALS_ACCEPTED,
	    size);
	totals_add(f->totals, tx->user, tx->account, &share);
}

/* For what next hops will say of it; what is sandboxed goes to none. */
static void
remember(struct filter *f, const struct tx *tx)
{
	if (f->owners != NULL && !tx->sandboxed &&
	    alarms_count(&tx->alarms, ALARM_FAILURES))
		owners_add(f->owners, tx->msgid, tx->user, tx->recipients,
		    &tx->alarms.of[ALARM_FAILURES]);
}

void
message_taken(struct filter *f, struct session *s, uint64_t size)
{
	struct tx *tx = s->tx;

	if (tx != NULL && tx->state == TX_PASSED) {
		log_taken(s);
		if (tx->reservation == RESERVATION_MADE)
			charges_keep(&f->quotas, tx->user,
			    tx->reservation_account, tx->reservation_id);
		log_message(f, s, tx->user, "accepted", NULL, NULL,
		    (int64_t)size);
		count_users(f, tx, size);
		remember(f, tx);
	} else if (tx != NULL && tx->state == TX_TRUSTED)
		count_taken(f, tx, TOTALS_TRUSTED, size);
	session_end_tx(s);
}

void
message_dropped(struct filter *f, struct session *s)
{
	struct tx *tx = s->tx;

	if (tx != NULL && tx->state == TX_PASSED) {
		if (tx->reservation == RESERVATION_MADE)
			charges_refund(&f->quotas, tx->user,
			    tx->reservation_account, tx->reservation_id);
		log_message(f, s, tx->user, "failed", NULL, NULL, -1);
		totals_count(f->totals, TOTALS_MESSAGE, TOTALS_FAILED,
		    REASON_NONE, 1);
	}
	session_end_tx(s);
}
