/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <stdio.h>
#include <string.h>

#include "alarms.h"
#include "conf.h"
#include "decide.h"
#include "spf.h"

/*
 * A rule decides and returns true, or has nothing to say.  The first that
 * decides counts; where none does, the answer is to proceed.
 */
typedef bool rule(const struct facts *, struct decision *);

static rule source_may_try;
static rule user_at_auth, source_at_auth;
static rule user_is_active, user_has_login;
static rule local_is_trusted, sender_fits, has_user, user_is_expected;
static rule user_may_send;
static rule message_is_whole, message_is_users, user_is_same, sandbox_is_same;
static rule text_is_safe, senders_are_read, domains_are_users, room_is_there;
static rule recipients_fit, recipient_is_free, sandbox_swallows, size_fits;

/* The whole policy, in its order. */
static rule *const at_connect[] = { source_may_try, NULL };

static rule *const at_auth[] = { user_at_auth, source_at_auth, NULL };

static rule *const at_login[] = { user_is_active, user_has_login, NULL };

static rule *const at_mail_from[] = { sender_fits, local_is_trusted, has_user,
	user_is_expected, user_may_send, senders_are_read, domains_are_users,
	room_is_there, NULL };

static rule *const at_rcpt_to[] = { recipients_fit, recipient_is_free,
	sandbox_swallows, NULL };

static rule *const at_end_of_data[] = { message_is_whole, local_is_trusted,
	message_is_users, user_is_same, sandbox_is_same, size_fits,
	text_is_safe, senders_are_read, domains_are_users, room_is_there,
	NULL };

static rule *const *const policy[] = { [STAGE_CONNECT] = at_connect,
	[STAGE_AUTH] = at_auth,
	[STAGE_LOGIN] = at_login,
	[STAGE_MAIL_FROM] = at_mail_from,
	[STAGE_RCPT_TO] = at_rcpt_to,
	[STAGE_END_OF_DATA] = at_end_of_data };

struct decision
decide(const struct facts *f)
{
	struct decision d = { .action = ACTION_PROCEED };
	rule *const    *r;

	for (r = policy[f->stage]; *r != NULL; r++)
		if ((*r)(f, &d))
			break;
	return (d);
}

const char *
decide_reply(const struct decision *d, char buf[DECISION_REPLY])
{
	if (d->limit == 0)
		return (d->reply);
	snprintf(buf, DECISION_REPLY, d->reply, d->limit);
	return (buf);
}

/* The bounds of a user's messages: the user's, the account's, the relay's. */
static struct bounds
bounds_of(const struct conf *conf, const struct user *user)
{
	struct bounds bounds = user->bounds;

	bounds_take(&bounds, &conf->bounds);
	return (bounds);
}

struct decision
decide_tempfail(enum stage stage, enum reason reason)
{
	struct decision d = { .action = ACTION_REJECT,
		.outcome = OUTCOME_UNDECIDED,
		.reply = REPLY_TEMPFAIL,
		.reason = reason };

	if (stage == STAGE_CONNECT) {
		d.action = ACTION_DISCONNECT;
		d.reply = REPLY_AWAY;
	}
	return (d);
}

static bool
tempfail(const struct facts *f, struct decision *d, enum reason reason)
{
	*d = decide_tempfail(f->stage, reason);
	return (true);
}

static bool
refuse(struct decision *d, enum outcome outcome, const char *reply,
    enum reason reason)
{
	d->action = ACTION_REJECT;
	d->outcome = outcome;
	d->reply = reply;
	d->reason = reason;
	return (true);
}

static bool
reject(struct decision *d, const char *reply, enum reason reason)
{
	return (refuse(d, OUTCOME_FOR_GOOD, reply, reason));
}

static bool
defer(struct decision *d, const char *reply, enum reason reason)
{
	return (refuse(d, OUTCOME_FOR_NOW, reply, reason));
}

/* Ends the session with what was decided. */
static bool
disconnect(struct decision *d)
{
	d->action = ACTION_DISCONNECT;
	return (true);
}

static bool
block(struct decision *d, enum reason reason)
{
	d->action = ACTION_BLOCK;
	d->outcome = OUTCOME_FOR_GOOD;
	d->reason = reason;
	return (true);
}

static bool
act(struct decision *d, enum action action)
{
	d->action = action;
	return (true);
}

/* On smtpd's own socket, where `local` trusts it. */
static bool
trusts_local(const struct facts *f)
{
	return (f->session->local && f->conf->local == LOCAL_TRUST);
}

static enum reason
why_blocked(const struct user *user)
{
	return (user->no_account ? REASON_ACCOUNT_MISSING
				 : REASON_USER_BLOCKED);
}

static enum reason
why_source(const struct user *user)
{
	return (user_list_missing(user) ? REASON_SOURCE_LIST_MISSING
					: REASON_SOURCE_NOT_LISTED);
}

static bool
source_is_allowed(const struct facts *f)
{
	return (!user_list_missing(f->user) &&
	    (trusts_local(f) || user_source_allowed(f->user)));
}

/* Connect */
static bool
source_may_try(const struct facts *f, struct decision *d)
{
	if (f->conf->auth_failures == 0 || f->session->source.len == 0)
		return (false);
	switch (f->logins) {
	case LOGINS_UNASKED:
		return (act(d, ACTION_ASK_LOGINS));
	case LOGINS_OK:
		return (false);
	case LOGINS_FAILED:
		return (defer(d, REPLY_FAILURES, REASON_FAILED_LOGINS) &&
		    disconnect(d));
	case LOGINS_UNKNOWN:
		break;
	}
	return (tempfail(f, d, REASON_REDIS_UNAVAILABLE));
}

/*
 * AUTH.  smtpd refuses in its own words, after its own pause, whoever is not
 * there, blocked, without a password or with a wrong one, and tells who when
 * Redis cannot be asked: nothing of that is refused here, since smtpd logs a
 * command that a filter refuses, and with it the credential.
 */
static bool
user_at_auth(const struct facts *f, struct decision *d)
{
	if (f->found == USER_UNASKED)
		return (act(d, ACTION_ASK_USER));
	return (f->found != USER_OK || !user_can_log_in(f->user));
}

/*
 * Only who knows the password learns that the source is the trouble.  Should
 * the password be changed to that one meanwhile, MAIL FROM still finds the
 * source; there it can also be left to, since smtpd logs what is refused here.
 */
static bool
source_at_auth(const struct facts *f, struct decision *d)
{
	if (f->conf->source_refusal != REFUSE_AT_AUTH || !f->shows_password ||
	    source_is_allowed(f))
		return (false);
	if (f->password == PASSWORD_UNASKED)
		return (act(d, ACTION_ASK_PASSWORD));
	return (f->password == PASSWORD_FITS &&
	    reject(d, REPLY_SOURCE, why_source(f->user)));
}

/* What smtpd goes by: at AUTH the table tells it of no such user. */
static bool
user_is_active(const struct facts *f, struct decision *d)
{
	return (!user_active(f->user) &&
	    reject(d, REPLY_AUTH_FAILED, why_blocked(f->user)));
}

static bool
user_has_login(const struct facts *f, struct decision *d)
{
	return (!user_can_log_in(f->user) && f->user->ip_auth.len == 0 &&
	    reject(d, REPLY_AUTH_FAILED, REASON_USER_WITHOUT_LOGIN));
}

/* MAIL FROM, and the end of data. */

static bool
local_is_trusted(const struct facts *f, struct decision *d)
{
	(void)d;
	if (f->stage == STAGE_END_OF_DATA)
		return (f->session->tx->state == TX_TRUSTED);
	return (trusts_local(f) && !session_authenticated(f->session));
}

static bool
sender_fits(const struct facts *f, struct decision *d)
{
	return (f->sender_too_long && tempfail(f, d, REASON_SENDER_TOO_LONG));
}

/*
 * A session that has authenticated as somebody is never taken for the user of
 * its source.
 */
static bool
has_user(const struct facts *f, struct decision *d)
{
	const struct session *s = f->session;

	if (s->login == LOGIN_NAMELESS ||
	    (!session_authenticated(s) && s->source.len == 0))
		return (reject(d, REPLY_AUTH_REQUIRED, REASON_NOT_LOGGED_IN));
	return (f->found == USER_UNASKED && act(d, ACTION_ASK_USER));
}

/* A message that is explained is that user's, or it is nobody's. */
static bool
user_is_expected(const struct facts *f, struct decision *d)
{
	return (f->expected != NULL && f->found == USER_OK &&
	    strcmp(f->user->name, f->expected) != 0 &&
	    reject(d, REPLY_AUTH_REQUIRED, REASON_SOURCE_OF_ANOTHER_USER));
}

/* How the user stands towards the session. */
enum authz {
	AUTHZ_OK,      /* may send */
	AUTHZ_NO_USER, /* is not there */
	AUTHZ_BLOCKED,
	AUTHZ_PASSWORD_CHANGED, /* has another password by now */
	AUTHZ_SOURCE,		/* does not send from there */
	AUTHZ_UNKNOWN,	      /* Redis cannot be asked, or the record is bad */
	AUTHZ_PASSWORD_UNREAD /* the password of the login was never read */
};

static enum authz
authorize(const struct facts *f)
{
	const struct session *s = f->session;

	if (f->found == USER_NONE)
		return (AUTHZ_NO_USER);
	if (f->found != USER_OK)
		return (AUTHZ_UNKNOWN);
	if (s->login == LOGIN_NOBODY || s->login == LOGIN_NAMELESS)
		return (AUTHZ_NO_USER);
	if (s->login == LOGIN_FAILED)
		return (AUTHZ_PASSWORD_UNREAD);
	if (s->login == LOGIN_ASKED)
		return (AUTHZ_UNKNOWN);
	if (s->login == LOGIN_BOUND &&
	    !session_is_bound_to(s, f->user->password))
		return (AUTHZ_PASSWORD_CHANGED);
	if (!user_active(f->user))
		return (AUTHZ_BLOCKED);
	return (source_is_allowed(f) ? AUTHZ_OK : AUTHZ_SOURCE);
}

static enum reason
why_unknown(const struct facts *f)
{
	return (f->found == USER_BAD ? REASON_RECORD_INVALID
				     : REASON_REDIS_UNAVAILABLE);
}

static bool
user_may_send(const struct facts *f, struct decision *d)
{
	switch (authorize(f)) {
	case AUTHZ_OK:
		return (false);
	case AUTHZ_NO_USER:
		return (reject(d, REPLY_AUTH_REQUIRED, REASON_NOT_LOGGED_IN));
	case AUTHZ_BLOCKED:
		return (reject(d, REPLY_AUTH_REQUIRED, why_blocked(f->user)));
	case AUTHZ_PASSWORD_CHANGED:
		return (reject(d, REPLY_AUTH_REQUIRED, REASON_USER_CHANGED));
	case AUTHZ_SOURCE:
		return (reject(d, REPLY_SOURCE, why_source(f->user)) &&
		    disconnect(d));
	case AUTHZ_PASSWORD_UNREAD:
		return (tempfail(f, d, REASON_REDIS_UNAVAILABLE) &&
		    disconnect(d));
	case AUTHZ_UNKNOWN:
		break;
	}
	return (tempfail(f, d, why_unknown(f)));
}

static bool
message_is_whole(const struct facts *f, struct decision *d)
{
	const struct tx *tx = f->session->tx;

	return ((tx == NULL || tx->damaged) &&
	    tempfail(f, d, REASON_LINE_TOO_LONG));
}

static bool
message_is_users(const struct facts *f, struct decision *d)
{
	if (f->session->tx->state != TX_OPEN)
		return (reject(d, REPLY_AUTH_REQUIRED, REASON_NOT_LOGGED_IN));
	return (f->found == USER_UNASKED && act(d, ACTION_ASK_USER));
}

/* What MAIL FROM was accepted for must still hold. */
static bool
user_is_same(const struct facts *f, struct decision *d)
{
	switch (authorize(f)) {
	case AUTHZ_OK:
		break;
	case AUTHZ_NO_USER:
	case AUTHZ_BLOCKED:
	case AUTHZ_PASSWORD_CHANGED:
	case AUTHZ_SOURCE:
		return (block(d, REASON_USER_CHANGED));
	case AUTHZ_UNKNOWN:
	case AUTHZ_PASSWORD_UNREAD:
		return (tempfail(f, d, why_unknown(f)));
	}
	/* The source may authenticate another by now. */
	return (strcmp(f->user->name, f->session->tx->user) != 0 &&
	    block(d, REASON_USER_CHANGED));
}

/* Its recipients were not rewritten: not this time. */
static bool
sandbox_is_same(const struct facts *f, struct decision *d)
{
	return (f->user->status == STATUS_SANDBOXED &&
	    !f->session->tx->sandboxed &&
	    tempfail(f, d, REASON_SANDBOXED_MEANWHILE));
}

static bool
size_fits(const struct facts *f, struct decision *d)
{
	const int64_t max = bounds_of(f->conf, f->user).max_size;

	if (max <= 0 || f->session->tx->size <= (uint64_t)max)
		return (false);
	d->limit = max;
	return (reject(d, REPLY_SIZE_FORMAT, REASON_TOO_LARGE));
}

static bool
text_is_safe(const struct facts *f, struct decision *d)
{
	return (f->session->tx->hidden_end && block(d, REASON_BODY_HIDDEN_END));
}

static bool
senders_are_read(const struct facts *f, struct decision *d)
{
	return (f->senders->reason != REASON_NONE &&
	    block(d, f->senders->reason));
}

/* What mode and plan say of the domain at a place among the senders. */
static enum reason
judge_mode(const struct user *user, size_t i)
{
	if (user->assigned >> i & 1)
		return (REASON_NONE);
	if (user->mode == MODE_DEFAULT)
		return (REASON_DOMAIN_NOT_ASSIGNED);
	if (user->in_account >> i & 1)
		return (REASON_NONE);
	if (user->mode == MODE_ALL)
		return (REASON_DOMAIN_NOT_IN_ACCOUNT);
	return (user->pro ? REASON_SPF_UNKNOWN : REASON_PLAN_NOT_PRO);
}

static bool
judge_spf(const struct facts *f, size_t i, struct decision *d)
{
	static const enum reason reasons[] = {
		[SPF_VERDICT_NONE] = REASON_SPF_NONE,
		[SPF_VERDICT_MULTIPLE] = REASON_SPF_MULTIPLE,
		[SPF_VERDICT_SYNTAX] = REASON_SPF_SYNTAX,
		[SPF_VERDICT_NOT_INCLUDED] = REASON_SPF_INCLUDE,
		[SPF_VERDICT_NOT_PASS] = REASON_SPF_FAIL
	};
	const struct spf_answer *answer = f->spf_answer[i];

	d->which = i;
	if (f->spf[i] == SPF_UNASKED)
		return (act(d, ACTION_ASK_SPF));
	if (f->spf[i] == SPF_LATER)
		return (false);
	if (f->spf[i] != SPF_KNOWN || answer->verdict >= SPF_VERDICT_UNKNOWN)
		return (refuse(d, OUTCOME_UNDECIDED, REPLY_SPF,
		    REASON_SPF_UNKNOWN));
	if (answer->verdict == SPF_VERDICT_OK)
		return (false);
	d->record = answer->record;
	return (block(d, reasons[answer->verdict]));
}

/* Sent by a host about mail of its users, and as itself. */
static bool
is_bounce(const struct facts *f)
{
	return (f->stage == STAGE_END_OF_DATA &&
	    senders_null(f->session->tx->sender) &&
	    header_is_bounce(&f->session->tx->header));
}

/* Why the domain is not the user's: in part it may be. */
static bool
block_domain(const struct facts *f, size_t i, enum reason reason,
    struct decision *d)
{
	const char *name = f->senders->domains.name[i];

	if (is_bounce(f))
		return (block(d, REASON_BOUNCE));
	d->which = i;
	if (f->addresses == NULL || strcmp(f->addresses, name) != 0)
		return (act(d, ACTION_ASK_ADDRESSES));
	return (block(d,
	    f->user->addresses ? REASON_ADDRESS_NOT_ASSIGNED : reason));
}

static bool
judge_domain(const struct facts *f, size_t i, struct decision *d)
{
	enum reason reason = judge_mode(f->user, i);

	if (reason == REASON_NONE ||
	    (reason == REASON_SPF_UNKNOWN && f->conf->spf == SPF_OFF))
		return (false);
	if (reason == REASON_SPF_UNKNOWN)
		return (judge_spf(f, i, d));
	return (block_domain(f, i, reason, d));
}

static bool
domains_are_users(const struct facts *f, struct decision *d)
{
	size_t i;

	for (i = 0; i < f->senders->domains.n; i++) {
		if (!judge_domain(f, i, d))
			continue;
		d->domain = f->senders->domains.name[i];
		return (true);
	}
	return (false);
}

/*
 * The account says what becomes of mail beyond its own limits.  What may have
 * room for all that is known is neither refused for good nor thrown away.
 */
static enum over
over_of(const struct facts *f)
{
	if (f->room_passing)
		return (OVER_DEFER);
	if (f->room_whose != QUOTA_OF_ACCOUNT)
		return (bounds_of(f->conf, f->user).over);
	return (f->user->account_over != OVER_UNSET ? f->user->account_over
						    : f->conf->bounds.over);
}

/*
 * Who has used up a limit is put off, refused for good, or not told: from
 * MAIL FROM on, before any recipient has been taken for real.
 */
static bool
no_room(const struct facts *f, struct decision *d)
{
	static const enum reason reasons[] = { [QUOTA_OF_USER] = REASON_QUOTA,
		[QUOTA_OF_ACCOUNT] = REASON_ACCOUNT_QUOTA,
		[QUOTA_OF_SENDER] = REASON_SENDER_QUOTA };
	const enum reason	 reason = reasons[f->room_whose];

	if (f->room_whose == QUOTA_OF_SENDER)
		d->domain = f->room_domain;
	switch (over_of(f)) {
	case OVER_REJECT:
		return (reject(d, f->room_refusal, reason));
	case OVER_SANDBOX:
		if (f->stage == STAGE_MAIL_FROM)
			return (act(d, ACTION_SANDBOX));
		if (f->session->tx->sandboxed)
			return (false);
		break;
	case OVER_UNSET:
	case OVER_DEFER:
		break;
	}
	return (f->room_never ? reject(d, f->room_reply, reason)
			      : defer(d, f->room_reply, reason));
}

bool
decide_alarmed(const struct facts *f)
{
	const struct tx *tx = f->session->tx;

	return (f->stage == STAGE_END_OF_DATA && tx->alarmed && !tx->sandboxed);
}

static bool
room_is_there(const struct facts *f, struct decision *d)
{
	if (!f->user->limited && !f->user->account_limited &&
	    !decide_alarmed(f))
		return (false);
	switch (f->room) {
	case ROOM_UNASKED:
		return (act(d, ACTION_ASK_ROOM));
	case ROOM_THERE:
		return (false);
	case ROOM_NONE:
		return (no_room(f, d));
	case ROOM_BLOCKED:
		return (block(d, REASON_ALARM));
	case ROOM_SANDBOXED:
		return (tempfail(f, d, REASON_SANDBOXED_MEANWHILE));
	case ROOM_UNKNOWN:
		break;
	}
	return (tempfail(f, d, REASON_LIMITS_UNREADABLE));
}

/* Where recipients are told apart, there is a bound to how many these are. */
static void
open_alarms(struct tx *tx, const struct conf *conf, const struct user *user)
{
	alarms_limits(conf, user, &tx->alarms);
	tx->alarmed = !tx->sandboxed && alarms_count_messages(&tx->alarms);
	if (tx->alarmed && alarms_count(&tx->alarms, ALARM_RECIPIENTS) &&
	    (tx->max_recipients <= 0 || tx->max_recipients > ALARMS_RECIPIENTS))
		tx->max_recipients = ALARMS_RECIPIENTS;
}

void
decide_open(struct tx *tx, const struct conf *conf, const struct user *user,
    const struct decision *d)
{
	tx->state = user != NULL ? TX_OPEN : TX_TRUSTED;
	if (user == NULL)
		return;
	strlcpy(tx->user, user->name, sizeof(tx->user));
	strlcpy(tx->account, user->account, sizeof(tx->account));
	tx->sandboxed = user->status == STATUS_SANDBOXED ||
	    d->action == ACTION_SANDBOX;
	tx->max_recipients = bounds_of(conf, user).max_recipients;
	tx->any_domain = user_any_domain(user);
	tx->suppresses = user->suppresses;
	tx->account_suppresses = user->account_suppresses;
	open_alarms(tx, conf, user);
}

/* RCPT TO */
static bool
recipients_fit(const struct facts *f, struct decision *d)
{
	const struct tx *tx = f->session->tx;

	if (tx == NULL || tx->max_recipients <= 0 ||
	    tx->recipients <= (uint64_t)tx->max_recipients)
		return (false);
	d->limit = tx->max_recipients;
	return (defer(d, REPLY_RECIPIENTS_FORMAT, REASON_TOO_MANY_RECIPIENTS));
}

/* What cannot be looked up is refused to whom that matters alone. */
static bool
recipient_is_free(const struct facts *f, struct decision *d)
{
	const struct tx *tx = f->session->tx;

	if (tx == NULL || (!tx->suppresses && !tx->account_suppresses))
		return (false);
	if (f->recipient->n == 0)
		return (reject(d, REPLY_RECIPIENT,
		    REASON_RECIPIENT_UNREADABLE));
	switch (f->suppressed) {
	case RECIPIENT_UNASKED:
		return (act(d, ACTION_ASK_SUPPRESSED));
	case RECIPIENT_FREE:
		return (false);
	case RECIPIENT_SUPPRESSED:
		return (reject(d, REPLY_SUPPRESSED,
		    REASON_RECIPIENT_SUPPRESSED));
	case RECIPIENT_UNKNOWN:
		break;
	}
	return (tempfail(f, d, REASON_REDIS_UNAVAILABLE));
}

static bool
sandbox_swallows(const struct facts *f, struct decision *d)
{
	const struct tx *tx = f->session->tx;

	return (tx != NULL && tx->sandboxed && act(d, ACTION_SANDBOX));
}
