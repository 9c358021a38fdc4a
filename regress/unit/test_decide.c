/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * The policy, by tables of facts: each row changes one thing of a session whose
 * mail would pass, and says what is decided.
 */

#include <string.h>

#include "unit.h"

#include "conf.h"
#include "decide.h"
#include "spf.h"

#define HASH "$6$salt$hash"

static struct conf	 conf;
static struct session	 session;
static struct tx	 tx;
static struct user	 user;
static struct senders	 senders;
static struct spf_answer answer;
static struct facts	 facts;

/* alice, who has logged in, sends as example.org, which is hers. */
static void
begin(enum stage stage)
{
	memset(&conf, 0, sizeof(conf));
	memset(&session, 0, sizeof(session));
	memset(&tx, 0, sizeof(tx));
	memset(&user, 0, sizeof(user));
	memset(&senders, 0, sizeof(senders));
	memset(&answer, 0, sizeof(answer));
	memset(&facts, 0, sizeof(facts));
	conf.spf = SPF_PUBLISHED;
	snprintf(user.name, sizeof(user.name), "alice");
	snprintf(user.password, sizeof(user.password), HASH);
	user.source = SOURCE_ANY;
	user.assigned = 1;
	assert_true(netaddr_parse("192.0.2.1", &session.source));
	snprintf(session.name, sizeof(session.name), "alice");
	session_bind_to(&session, LOGIN_BOUND, HASH);
	session.tx = &tx;
	tx.state = stage == STAGE_END_OF_DATA ? TX_OPEN : TX_NOBODYS;
	snprintf(tx.user, sizeof(tx.user), "alice");
	domains_add(&senders.domains, "example.org", NULL, 0);
	facts.stage = stage;
	facts.conf = &conf;
	facts.session = &session;
	facts.senders = &senders;
	facts.found = USER_OK;
	facts.user = &user;
}

static void
assert_action(enum action want)
{
	assert_int_equal(decide(&facts).action, want);
}

static void
assert_reply(enum action action, const char *reply, enum reason reason)
{
	struct decision d = decide(&facts);

	assert_int_equal(d.action, action);
	assert_string_equal(d.reply, reply);
	assert_int_equal(d.outcome == OUTCOME_FOR_GOOD, reply[0] == '5');
	assert_string_equal(reason_name(d.reason), reason_name(reason));
}

/* The question for addresses comes before. */
static void
assert_blocked(enum reason reason, const char *domain)
{
	struct decision d = decide(&facts);

	if (d.action == ACTION_ASK_ADDRESSES) {
		facts.addresses = senders.domains.name[d.which];
		d = decide(&facts);
	}
	assert_int_equal(d.action, ACTION_BLOCK);
	assert_string_equal(reason_name(d.reason), reason_name(reason));
	if (domain == NULL)
		assert_null(d.domain);
	else
		assert_string_equal(d.domain, domain);
}

/* Redis gave no user. */
static void
find(enum users_found found)
{
	facts.found = found;
	facts.user = NULL;
}

static void
test_ordinary_mail_passes(void **state)
{
	static const enum stage stages[] = { STAGE_CONNECT, STAGE_AUTH,
		STAGE_MAIL_FROM, STAGE_RCPT_TO, STAGE_END_OF_DATA };
	size_t			i;

	(void)state;
	for (i = 0; i < 5; i++) {
		begin(stages[i]);
		assert_action(ACTION_PROCEED);
	}
}

/* Nothing is decided about somebody who was not asked for. */
static void
test_the_user_is_asked_for(void **state)
{
	static const enum stage stages[] = { STAGE_AUTH, STAGE_MAIL_FROM,
		STAGE_END_OF_DATA };
	size_t			i;

	(void)state;
	for (i = 0; i < 3; i++) {
		begin(stages[i]);
		facts.found = USER_UNASKED;
		facts.user = NULL;
		assert_action(ACTION_ASK_USER);
	}
}

static void
test_failed_logins(void **state)
{
	(void)state;
	begin(STAGE_CONNECT);
	conf.auth_failures = 20;
	assert_action(ACTION_ASK_LOGINS);
	facts.logins = LOGINS_OK;
	assert_action(ACTION_PROCEED);
	facts.logins = LOGINS_FAILED;
	assert_reply(ACTION_DISCONNECT, REPLY_FAILURES, REASON_FAILED_LOGINS);
	facts.logins = LOGINS_UNKNOWN;
	assert_reply(ACTION_DISCONNECT, REPLY_AWAY, REASON_REDIS_UNAVAILABLE);
	conf.auth_failures = 0;
	assert_action(ACTION_PROCEED);
	/* smtpd's own socket has no source. */
	begin(STAGE_CONNECT);
	conf.auth_failures = 20;
	session.source.len = 0;
	assert_action(ACTION_PROCEED);
}

/* Before the greeting nothing but 421 makes sense, RFC 5321 3.1. */
static void
test_what_cannot_be_decided(void **state)
{
	static const struct {
		enum stage  stage;
		enum action action;
		const char *reply;
	} rows[] = { { STAGE_CONNECT, ACTION_DISCONNECT, REPLY_AWAY },
		{ STAGE_AUTH, ACTION_REJECT, REPLY_TEMPFAIL },
		{ STAGE_MAIL_FROM, ACTION_REJECT, REPLY_TEMPFAIL },
		{ STAGE_RCPT_TO, ACTION_REJECT, REPLY_TEMPFAIL },
		{ STAGE_END_OF_DATA, ACTION_REJECT, REPLY_TEMPFAIL } };
	struct decision d;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		d = decide_tempfail(rows[i].stage, REASON_NONE);
		assert_int_equal(d.action, rows[i].action);
		assert_int_equal(d.outcome, OUTCOME_UNDECIDED);
		assert_string_equal(d.reply, rows[i].reply);
		assert_int_equal(d.reason, REASON_NONE);
	}
}

/* What smtpd decides, which explain tells. */
static void
test_login(void **state)
{
	static const struct {
		enum user_status status;
		bool		 no_account;
		bool		 password;
		bool		 address;
		enum reason	 reason; /* REASON_NONE: may log in */
	} rows[] = { { STATUS_ALLOWED, false, true, false, REASON_NONE },
		{ STATUS_ALLOWED, false, false, true, REASON_NONE },
		{ STATUS_SANDBOXED, false, true, true, REASON_NONE },
		{ STATUS_ALLOWED, false, false, false,
		    REASON_USER_WITHOUT_LOGIN },
		{ STATUS_BLOCKED, false, true, true, REASON_USER_BLOCKED },
		{ STATUS_BLOCKED, false, false, false, REASON_USER_BLOCKED },
		{ STATUS_BLOCKED, true, true, true, REASON_ACCOUNT_MISSING } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(STAGE_LOGIN);
		user.status = rows[i].status;
		user.no_account = rows[i].no_account;
		if (!rows[i].password)
			user.password[0] = '\0';
		if (rows[i].address)
			user.ip_auth = session.source;
		if (rows[i].reason == REASON_NONE)
			assert_action(ACTION_PROCEED);
		else
			assert_reply(ACTION_REJECT, REPLY_AUTH_FAILED,
			    rows[i].reason);
	}
}

/* The source that is asked about may authenticate another. */
static void
test_expected(void **state)
{
	(void)state;
	begin(STAGE_MAIL_FROM);
	facts.expected = "alice";
	assert_action(ACTION_PROCEED);
	snprintf(user.name, sizeof(user.name), "bob");
	user.status = STATUS_BLOCKED;
	assert_reply(ACTION_REJECT, REPLY_AUTH_REQUIRED,
	    REASON_SOURCE_OF_ANOTHER_USER);
	find(USER_NONE);
	assert_reply(ACTION_REJECT, REPLY_AUTH_REQUIRED, REASON_NOT_LOGGED_IN);
}

/* By the decision of MAIL FROM, what a message is held to. */
static void
test_open(void **state)
{
	static const struct {
		enum user_status status;
		enum action	 action;
		int64_t		 max;
		int64_t		 different; /* recipients, for an alarm */
		bool		 sandboxed;
		bool		 alarmed;
		int64_t		 max_recipients;
	} rows[] = { { STATUS_ALLOWED, ACTION_PROCEED, 0, 0, false, false, 0 },
		{ STATUS_ALLOWED, ACTION_PROCEED, 50, 9, false, true, 50 },
		{ STATUS_ALLOWED, ACTION_PROCEED, LIMIT_NONE, 9, false, true,
		    ALARMS_RECIPIENTS },
		{ STATUS_ALLOWED, ACTION_PROCEED, ALARMS_RECIPIENTS + 1, 9,
		    false, true, ALARMS_RECIPIENTS },
		{ STATUS_ALLOWED, ACTION_SANDBOX, 0, 9, true, false, 0 },
		{ STATUS_SANDBOXED, ACTION_PROCEED, 0, 9, true, false, 0 } };
	struct decision d = { .action = ACTION_PROCEED };
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(STAGE_MAIL_FROM);
		user.status = rows[i].status;
		user.bounds.max_recipients = rows[i].max;
		user.suppresses = true;
		snprintf(user.account, sizeof(user.account), "acme");
		conf.alarms[ALARM_RECIPIENTS].action = ALARM_BLOCK;
		conf.alarm_limits.of[ALARM_RECIPIENTS].count = rows[i]
								   .different;
		d.action = rows[i].action;
		tx.user[0] = '\0';
		decide_open(&tx, &conf, &user, &d);
		assert_int_equal(tx.state, TX_OPEN);
		assert_string_equal(tx.user, "alice");
		assert_string_equal(tx.account, "acme");
		assert_true(tx.suppresses);
		assert_false(tx.any_domain);
		assert_int_equal(tx.sandboxed, rows[i].sandboxed);
		assert_int_equal(tx.alarmed, rows[i].alarmed);
		assert_int_equal(tx.max_recipients, rows[i].max_recipients);
	}
	begin(STAGE_MAIL_FROM);
	decide_open(&tx, &conf, NULL, &d);
	assert_int_equal(tx.state, TX_TRUSTED);
}

/* AUTH: smtpd refuses all of these itself. */
static void
test_auth_leaves_to_smtpd(void **state)
{
	static const enum users_found found[] = { USER_NONE, USER_BAD,
		USER_UNAVAILABLE };
	size_t			      i;

	(void)state;
	for (i = 0; i < 3; i++) {
		begin(STAGE_AUTH);
		facts.shows_password = true;
		find(found[i]);
		assert_action(ACTION_PROCEED);
	}
	begin(STAGE_AUTH);
	facts.shows_password = true;
	user.source = SOURCE_UNLISTED;
	user.status = STATUS_BLOCKED;
	assert_action(ACTION_PROCEED);
	user.status = STATUS_ALLOWED;
	user.password[0] = '\0';
	assert_action(ACTION_PROCEED);
}

static void
test_auth_from_a_source_not_listed(void **state)
{
	(void)state;
	begin(STAGE_AUTH);
	user.source = SOURCE_UNLISTED;
	assert_action(ACTION_PROCEED);
	facts.shows_password = true;
	assert_action(ACTION_ASK_PASSWORD);
	facts.password = PASSWORD_FITS_NOT;
	assert_action(ACTION_PROCEED);
	facts.password = PASSWORD_FITS;
	assert_reply(ACTION_REJECT, REPLY_SOURCE, REASON_SOURCE_NOT_LISTED);
	user.source = SOURCE_LISTED;
	assert_action(ACTION_PROCEED);
	/* What was not asked is not allowed. */
	user.source = SOURCE_UNASKED;
	assert_reply(ACTION_REJECT, REPLY_SOURCE, REASON_SOURCE_NOT_LISTED);
	session.local = true;
	conf.local = LOCAL_TRUST;
	assert_action(ACTION_PROCEED);
	conf.local = LOCAL_ENFORCE;
	assert_reply(ACTION_REJECT, REPLY_SOURCE, REASON_SOURCE_NOT_LISTED);
}

/* What must be there and is not lets nobody in, and has reasons of its own. */
static void
test_what_is_missing(void **state)
{
	(void)state;
	begin(STAGE_AUTH);
	facts.shows_password = true;
	facts.password = PASSWORD_FITS;
	user.restricted = true;
	assert_reply(ACTION_REJECT, REPLY_SOURCE, REASON_SOURCE_LIST_MISSING);
	session.local = true;
	conf.local = LOCAL_TRUST;
	assert_reply(ACTION_REJECT, REPLY_SOURCE, REASON_SOURCE_LIST_MISSING);
	begin(STAGE_MAIL_FROM);
	user.restricted = true;
	assert_reply(ACTION_DISCONNECT, REPLY_SOURCE,
	    REASON_SOURCE_LIST_MISSING);
	user.source = SOURCE_UNLISTED;
	assert_reply(ACTION_DISCONNECT, REPLY_SOURCE, REASON_SOURCE_NOT_LISTED);
	user.source = SOURCE_LISTED;
	assert_action(ACTION_PROCEED);
	begin(STAGE_MAIL_FROM);
	user.status = STATUS_BLOCKED;
	user.no_account = true;
	assert_reply(ACTION_REJECT, REPLY_AUTH_REQUIRED,
	    REASON_ACCOUNT_MISSING);
}

static void
test_auth_leaves_the_source_to_mail_from(void **state)
{
	(void)state;
	begin(STAGE_AUTH);
	conf.source_refusal = REFUSE_AT_MAIL_FROM;
	user.source = SOURCE_UNLISTED;
	facts.shows_password = true;
	assert_action(ACTION_PROCEED);
	begin(STAGE_MAIL_FROM);
	conf.source_refusal = REFUSE_AT_MAIL_FROM;
	user.source = SOURCE_UNLISTED;
	assert_reply(ACTION_DISCONNECT, REPLY_SOURCE, REASON_SOURCE_NOT_LISTED);
}

/* How the session and its user stand to each other, and what follows. */
static const struct {
	enum users_found found;
	enum login	 login;
	bool		 other_password;
	enum user_status status;
	enum user_source source;
	/* At MAIL FROM, and at the end of data: */
	enum action action;
	const char *reply;
	enum reason reason;
	enum action end;
} authz_cases[] = { { USER_OK, LOGIN_BOUND, false, STATUS_ALLOWED,
			SOURCE_LISTED, ACTION_PROCEED, NULL, REASON_NONE,
			ACTION_PROCEED },
	{ USER_OK, LOGIN_NONE, false, STATUS_ALLOWED, SOURCE_ANY,
	    ACTION_PROCEED, NULL, REASON_NONE, ACTION_PROCEED },
	/* A name or a password that AUTH only showed is no login. */
	{ USER_OK, LOGIN_SHOWN, true, STATUS_ALLOWED, SOURCE_ANY,
	    ACTION_PROCEED, NULL, REASON_NONE, ACTION_PROCEED },
	{ USER_OK, LOGIN_BOUND, false, STATUS_ALLOWED, SOURCE_UNLISTED,
	    ACTION_DISCONNECT, REPLY_SOURCE, REASON_SOURCE_NOT_LISTED,
	    ACTION_BLOCK },
	{ USER_OK, LOGIN_BOUND, false, STATUS_ALLOWED, SOURCE_UNASKED,
	    ACTION_DISCONNECT, REPLY_SOURCE, REASON_SOURCE_NOT_LISTED,
	    ACTION_BLOCK },
	{ USER_OK, LOGIN_BOUND, false, STATUS_BLOCKED, SOURCE_ANY,
	    ACTION_REJECT, REPLY_AUTH_REQUIRED, REASON_USER_BLOCKED,
	    ACTION_BLOCK },
	{ USER_OK, LOGIN_BOUND, true, STATUS_ALLOWED, SOURCE_ANY, ACTION_REJECT,
	    REPLY_AUTH_REQUIRED, REASON_USER_CHANGED, ACTION_BLOCK },
	{ USER_OK, LOGIN_NOBODY, false, STATUS_ALLOWED, SOURCE_ANY,
	    ACTION_REJECT, REPLY_AUTH_REQUIRED, REASON_NOT_LOGGED_IN,
	    ACTION_BLOCK },
	{ USER_OK, LOGIN_NAMELESS, false, STATUS_ALLOWED, SOURCE_ANY,
	    ACTION_REJECT, REPLY_AUTH_REQUIRED, REASON_NOT_LOGGED_IN,
	    ACTION_BLOCK },
	{ USER_OK, LOGIN_ASKED, false, STATUS_ALLOWED, SOURCE_ANY,
	    ACTION_REJECT, REPLY_TEMPFAIL, REASON_REDIS_UNAVAILABLE,
	    ACTION_REJECT },
	{ USER_OK, LOGIN_FAILED, false, STATUS_ALLOWED, SOURCE_ANY,
	    ACTION_DISCONNECT, REPLY_TEMPFAIL, REASON_REDIS_UNAVAILABLE,
	    ACTION_REJECT },
	{ USER_NONE, LOGIN_BOUND, false, STATUS_ALLOWED, SOURCE_ANY,
	    ACTION_REJECT, REPLY_AUTH_REQUIRED, REASON_NOT_LOGGED_IN,
	    ACTION_BLOCK },
	{ USER_NONE, LOGIN_NONE, false, STATUS_ALLOWED, SOURCE_ANY,
	    ACTION_REJECT, REPLY_AUTH_REQUIRED, REASON_NOT_LOGGED_IN,
	    ACTION_BLOCK },
	{ USER_BAD, LOGIN_BOUND, false, STATUS_ALLOWED, SOURCE_ANY,
	    ACTION_REJECT, REPLY_TEMPFAIL, REASON_RECORD_INVALID,
	    ACTION_REJECT },
	{ USER_UNAVAILABLE, LOGIN_NONE, false, STATUS_ALLOWED, SOURCE_ANY,
	    ACTION_REJECT, REPLY_TEMPFAIL, REASON_REDIS_UNAVAILABLE,
	    ACTION_REJECT },
	{ USER_UNAVAILABLE, LOGIN_FAILED, false, STATUS_ALLOWED, SOURCE_ANY,
	    ACTION_REJECT, REPLY_TEMPFAIL, REASON_REDIS_UNAVAILABLE,
	    ACTION_REJECT } };

static void
stand(enum stage stage, size_t i)
{
	begin(stage);
	session.login = authz_cases[i].login;
	if (authz_cases[i].other_password)
		snprintf(user.password, sizeof(user.password), "$6$new$hash");
	user.status = authz_cases[i].status;
	user.source = authz_cases[i].source;
	if (authz_cases[i].found != USER_OK)
		find(authz_cases[i].found);
}

static void
test_authz(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(authz_cases) / sizeof(authz_cases[0]); i++) {
		stand(STAGE_MAIL_FROM, i);
		if (authz_cases[i].reply == NULL)
			assert_action(authz_cases[i].action);
		else
			assert_reply(authz_cases[i].action,
			    authz_cases[i].reply, authz_cases[i].reason);
		stand(STAGE_END_OF_DATA, i);
		if (authz_cases[i].end == ACTION_BLOCK)
			assert_blocked(REASON_USER_CHANGED, NULL);
		else if (authz_cases[i].end == ACTION_REJECT)
			assert_reply(ACTION_REJECT, REPLY_TEMPFAIL,
			    authz_cases[i].reason);
		else
			assert_action(ACTION_PROCEED);
	}
}

static void
test_nobody_is_asked_for(void **state)
{
	(void)state;
	/* No source, and no login. */
	begin(STAGE_MAIL_FROM);
	session.login = LOGIN_NONE;
	session.source.len = 0;
	facts.found = USER_UNASKED;
	assert_reply(ACTION_REJECT, REPLY_AUTH_REQUIRED, REASON_NOT_LOGGED_IN);
	/* A login as no possible name is never the user of the source. */
	begin(STAGE_MAIL_FROM);
	session.login = LOGIN_NAMELESS;
	session.name[0] = '\0';
	facts.found = USER_UNASKED;
	assert_reply(ACTION_REJECT, REPLY_AUTH_REQUIRED, REASON_NOT_LOGGED_IN);
	/* A logged-in session needs no source. */
	begin(STAGE_MAIL_FROM);
	session.source.len = 0;
	assert_action(ACTION_PROCEED);
}

static void
test_local(void **state)
{
	(void)state;
	begin(STAGE_MAIL_FROM);
	session.local = true;
	session.login = LOGIN_NONE;
	session.source.len = 0;
	facts.found = USER_UNASKED;
	conf.local = LOCAL_ENFORCE;
	assert_reply(ACTION_REJECT, REPLY_AUTH_REQUIRED, REASON_NOT_LOGGED_IN);
	conf.local = LOCAL_TRUST;
	assert_action(ACTION_PROCEED);
	/* Who logs in is that user, there too. */
	session.login = LOGIN_BOUND;
	assert_action(ACTION_ASK_USER);
	/* At the end of data counts what MAIL FROM was. */
	begin(STAGE_END_OF_DATA);
	facts.found = USER_UNASKED;
	tx.state = TX_TRUSTED;
	assert_action(ACTION_PROCEED);
	tx.state = TX_OPEN;
	session.local = true;
	conf.local = LOCAL_TRUST;
	assert_action(ACTION_ASK_USER);
}

static void
test_a_long_sender(void **state)
{
	(void)state;
	begin(STAGE_MAIL_FROM);
	facts.sender_too_long = true;
	assert_reply(ACTION_REJECT, REPLY_TEMPFAIL, REASON_SENDER_TOO_LONG);
	/* Before anything else, a local one's too. */
	session.local = true;
	conf.local = LOCAL_TRUST;
	session.login = LOGIN_NONE;
	assert_reply(ACTION_REJECT, REPLY_TEMPFAIL, REASON_SENDER_TOO_LONG);
}

/* What the message itself is, at the end of data. */
static void
test_the_message(void **state)
{
	(void)state;
	begin(STAGE_END_OF_DATA);
	session.tx = NULL;
	assert_reply(ACTION_REJECT, REPLY_TEMPFAIL, REASON_LINE_TOO_LONG);
	begin(STAGE_END_OF_DATA);
	tx.damaged = true;
	assert_reply(ACTION_REJECT, REPLY_TEMPFAIL, REASON_LINE_TOO_LONG);
	tx.state = TX_TRUSTED;
	assert_reply(ACTION_REJECT, REPLY_TEMPFAIL, REASON_LINE_TOO_LONG);

	begin(STAGE_END_OF_DATA);
	tx.state = TX_NOBODYS;
	assert_reply(ACTION_REJECT, REPLY_AUTH_REQUIRED, REASON_NOT_LOGGED_IN);
	tx.state = TX_PASSED;
	assert_reply(ACTION_REJECT, REPLY_AUTH_REQUIRED, REASON_NOT_LOGGED_IN);

	begin(STAGE_END_OF_DATA);
	snprintf(user.name, sizeof(user.name), "bob");
	assert_blocked(REASON_USER_CHANGED, NULL);

	begin(STAGE_END_OF_DATA);
	tx.hidden_end = true;
	assert_blocked(REASON_BODY_HIDDEN_END, NULL);
	senders.reason = REASON_FROM_MISSING;
	assert_blocked(REASON_BODY_HIDDEN_END, NULL);
	tx.hidden_end = false;
	assert_blocked(REASON_FROM_MISSING, NULL);
	/* Before it is told why, the user must be one who may send. */
	user.status = STATUS_BLOCKED;
	assert_blocked(REASON_USER_CHANGED, NULL);
}

static void
test_sandbox(void **state)
{
	(void)state;
	begin(STAGE_RCPT_TO);
	tx.sandboxed = true;
	assert_action(ACTION_SANDBOX);
	session.tx = NULL;
	assert_action(ACTION_PROCEED);
	begin(STAGE_MAIL_FROM);
	user.status = STATUS_SANDBOXED;
	assert_action(ACTION_PROCEED);
	begin(STAGE_END_OF_DATA);
	user.status = STATUS_SANDBOXED;
	assert_reply(ACTION_REJECT, REPLY_TEMPFAIL, REASON_SANDBOXED_MEANWHILE);
	tx.sandboxed = true;
	assert_action(ACTION_PROCEED);
	/* Released meanwhile: its recipients went nowhere all the same. */
	user.status = STATUS_ALLOWED;
	assert_action(ACTION_PROCEED);
}

/* Each mode, of each plan, with a domain of each kind. */
static void
test_modes(void **state)
{
	static const struct {
		enum user_mode mode;
		bool	       pro;
		enum reason    account; /* where it is the account's */
		enum reason    foreign;
	} rows[] = { { MODE_DEFAULT, false, REASON_DOMAIN_NOT_ASSIGNED,
			 REASON_DOMAIN_NOT_ASSIGNED },
		{ MODE_DEFAULT, true, REASON_DOMAIN_NOT_ASSIGNED,
		    REASON_DOMAIN_NOT_ASSIGNED },
		{ MODE_ALL, false, REASON_NONE, REASON_DOMAIN_NOT_IN_ACCOUNT },
		{ MODE_ALL, true, REASON_NONE, REASON_DOMAIN_NOT_IN_ACCOUNT },
		{ MODE_ANY, false, REASON_NONE, REASON_PLAN_NOT_PRO },
		{ MODE_ANY, true, REASON_NONE, REASON_SPF_UNKNOWN } };
	static const enum stage stages[] = { STAGE_MAIL_FROM,
		STAGE_END_OF_DATA };
	enum reason		want;
	size_t			i, k, s;

	(void)state;
	for (s = 0; s < 2; s++) {
		for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			begin(stages[s]);
			user.mode = rows[i].mode;
			user.pro = rows[i].pro;
			assert_action(ACTION_PROCEED);
			for (k = 0; k < 2; k++) {
				/* The other bits are of no domain here. */
				user.assigned = ~(uint32_t)1;
				user.in_account = ~(uint32_t)1 | (k == 0);
				want = k == 0 ? rows[i].account
					      : rows[i].foreign;
				if (want == REASON_NONE)
					assert_action(ACTION_PROCEED);
				else if (want == REASON_SPF_UNKNOWN)
					assert_action(ACTION_ASK_SPF);
				else
					assert_blocked(want, "example.org");
			}
		}
	}
}

static void
test_spf(void **state)
{
	static const enum reason reasons[] = { [SPF_VERDICT_OK] = REASON_NONE,
		[SPF_VERDICT_NONE] = REASON_SPF_NONE,
		[SPF_VERDICT_MULTIPLE] = REASON_SPF_MULTIPLE,
		[SPF_VERDICT_SYNTAX] = REASON_SPF_SYNTAX,
		[SPF_VERDICT_NOT_INCLUDED] = REASON_SPF_INCLUDE,
		[SPF_VERDICT_NOT_PASS] = REASON_SPF_FAIL };
	struct decision		 d;
	size_t			 i;

	(void)state;
	begin(STAGE_END_OF_DATA);
	user.mode = MODE_ANY;
	user.pro = true;
	domains_add(&senders.domains, "two.example", NULL, 0);
	d = decide(&facts);
	assert_int_equal(d.action, ACTION_ASK_SPF);
	assert_int_equal(d.which, 1);
	assert_string_equal(d.domain, "two.example");

	facts.spf[1] = SPF_KNOWN;
	facts.spf_answer[1] = &answer;
	snprintf(answer.record, sizeof(answer.record), "v=spf1 -all");
	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		answer.verdict = (enum spf_verdict)i;
		if (reasons[i] == REASON_NONE) {
			assert_action(ACTION_PROCEED);
			continue;
		}
		assert_blocked(reasons[i], "two.example");
		assert_string_equal(decide(&facts).record, "v=spf1 -all");
	}
	answer.verdict = SPF_VERDICT_UNKNOWN;
	assert_reply(ACTION_REJECT, REPLY_SPF, REASON_SPF_UNKNOWN);
	facts.spf[1] = SPF_UNKNOWN;
	assert_reply(ACTION_REJECT, REPLY_SPF, REASON_SPF_UNKNOWN);
	facts.spf[1] = SPF_LATER;
	assert_action(ACTION_PROCEED);
	facts.spf[1] = SPF_UNASKED;
	conf.spf = SPF_OFF;
	assert_action(ACTION_PROCEED);
	user.pro = false;
	assert_blocked(REASON_PLAN_NOT_PRO, "two.example");
}

/* A host's report about mail, whose sender is null. */
static void
test_bounces(void **state)
{
	static char from[] = " Mail Delivery <Mailer-Daemon@example.org>";

	(void)state;
	begin(STAGE_END_OF_DATA);
	tx.header.from = from;
	tx.header.fromlen = strlen(from);
	assert_action(ACTION_PROCEED);
	user.assigned = 0;
	assert_blocked(REASON_BOUNCE, "example.org");
	user.mode = MODE_ALL;
	assert_blocked(REASON_BOUNCE, "example.org");
	snprintf(tx.sender, sizeof(tx.sender), "alice@example.org");
	assert_blocked(REASON_DOMAIN_NOT_IN_ACCOUNT, "example.org");
	tx.sender[0] = '\0';
	tx.header.fromlen = strlen(" Mail");
	assert_blocked(REASON_DOMAIN_NOT_IN_ACCOUNT, "example.org");
}

static void
test_every_domain_counts(void **state)
{
	const uint32_t all = (1U << DOMAINS_MAX) - 1;
	char	       name[32];
	int	       i;

	(void)state;
	begin(STAGE_END_OF_DATA);
	senders.domains.n = 0;
	user.assigned = 0;
	assert_action(ACTION_PROCEED);
	for (i = 0; i < DOMAINS_MAX; i++) {
		snprintf(name, sizeof(name), "d%d.example", i);
		domains_add(&senders.domains, name, NULL, 0);
	}
	user.assigned = all;
	assert_action(ACTION_PROCEED);
	for (i = 0; i < DOMAINS_MAX; i++) {
		user.assigned = all & ~(1U << i);
		assert_blocked(REASON_DOMAIN_NOT_ASSIGNED,
		    senders.domains.name[i]);
	}
	user.assigned = 1 << 3;
	assert_blocked(REASON_DOMAIN_NOT_ASSIGNED, "d0.example");
}

/* A recipient is asked about where there is a list, and then only. */
static void
test_suppressed(void **state)
{
	struct domains recipient = { .n = 0 };
	int	       i;

	(void)state;
	for (i = 0; i < 8; i++) {
		begin(STAGE_RCPT_TO);
		facts.recipient = &recipient;
		domains_clear(&recipient);
		tx.suppresses = (i & 1) != 0;
		tx.account_suppresses = (i & 2) != 0;
		tx.sandboxed = (i & 4) != 0;
		if ((i & 3) != 0) {
			assert_reply(ACTION_REJECT, REPLY_RECIPIENT,
			    REASON_RECIPIENT_UNREADABLE);
			domains_add(&recipient, "example.com", "bob", 3);
			assert_action(ACTION_ASK_SUPPRESSED);
			facts.suppressed = RECIPIENT_UNKNOWN;
			assert_reply(ACTION_REJECT, REPLY_TEMPFAIL,
			    REASON_REDIS_UNAVAILABLE);
			facts.suppressed = RECIPIENT_SUPPRESSED;
			assert_reply(ACTION_REJECT, REPLY_SUPPRESSED,
			    REASON_RECIPIENT_SUPPRESSED);
			facts.suppressed = RECIPIENT_FREE;
		}
		assert_action(tx.sandboxed ? ACTION_SANDBOX : ACTION_PROCEED);
	}
	/* Of one too many nobody is asked. */
	tx.recipients = 2;
	tx.max_recipients = 1;
	facts.suppressed = RECIPIENT_UNASKED;
	assert_int_equal(decide(&facts).reason, REASON_TOO_MANY_RECIPIENTS);
}

/* A bound of the user counts first, then the account's, then everybody's. */
static void
test_bounds(void **state)
{
	char buf[DECISION_REPLY];

	(void)state;
	begin(STAGE_RCPT_TO);
	tx.recipients = 50;
	tx.max_recipients = 50;
	assert_action(ACTION_PROCEED);
	tx.recipients = 51;
	assert_int_equal(decide(&facts).reason, REASON_TOO_MANY_RECIPIENTS);
	{
		const struct decision d = decide(&facts);

		assert_int_equal(d.action, ACTION_REJECT);
		assert_string_equal(decide_reply(&d, buf),
		    "452 4.5.3 Too many recipients, at most 50 in a message");
	}
	tx.max_recipients = LIMIT_NONE;
	assert_action(ACTION_PROCEED);

	begin(STAGE_END_OF_DATA);
	conf.bounds.max_size = 1000;
	tx.size = 1000;
	assert_action(ACTION_PROCEED);
	tx.size = 1001;
	{
		const struct decision d = decide(&facts);

		assert_int_equal(d.action, ACTION_REJECT);
		assert_int_equal(d.reason, REASON_TOO_LARGE);
		assert_string_equal(decide_reply(&d, buf),
		    "552 5.3.4 Message too large, at most 1000 bytes");
	}
	user.bounds.max_size = 2000;
	assert_action(ACTION_PROCEED);
	user.bounds.max_size = LIMIT_NONE;
	assert_action(ACTION_PROCEED);
}

static void
test_over(void **state)
{
	(void)state;
	begin(STAGE_MAIL_FROM);
	user.limited = true;
	facts.room = ROOM_NONE;
	facts.room_reply = "451 later";
	facts.room_refusal = "550 never";
	assert_reply(ACTION_REJECT, "451 later", REASON_QUOTA);
	conf.bounds.over = OVER_REJECT;
	assert_reply(ACTION_REJECT, "550 never", REASON_QUOTA);
	user.bounds.over = OVER_DEFER;
	assert_reply(ACTION_REJECT, "451 later", REASON_QUOTA);
	user.bounds.over = OVER_SANDBOX;
	assert_action(ACTION_SANDBOX);
	/* One whose recipients were taken for real is put off. */
	facts.stage = STAGE_END_OF_DATA;
	tx.state = TX_OPEN;
	assert_reply(ACTION_REJECT, "451 later", REASON_QUOTA);
	tx.sandboxed = true;
	assert_action(ACTION_PROCEED);
	/* Where the counter cannot be read there may be room. */
	facts.room_passing = true;
	facts.stage = STAGE_MAIL_FROM;
	assert_reply(ACTION_REJECT, "451 later", REASON_QUOTA);
	user.bounds.over = OVER_REJECT;
	assert_reply(ACTION_REJECT, "451 later", REASON_QUOTA);
	/* What can never have room is no matter of time. */
	facts.room_passing = false;
	facts.room_never = true;
	facts.room_reply = "550 too many";
	user.bounds.over = OVER_DEFER;
	assert_reply(ACTION_REJECT, "550 too many", REASON_QUOTA);
	/* What cannot be read is no limit that was used up. */
	facts.room = ROOM_UNKNOWN;
	assert_reply(ACTION_REJECT, REPLY_TEMPFAIL, REASON_LIMITS_UNREADABLE);
}

/* The account's limits go by the account's word. */
static void
test_over_of_account(void **state)
{
	(void)state;
	begin(STAGE_MAIL_FROM);
	user.account_limited = true;
	facts.room = ROOM_NONE;
	facts.room_whose = QUOTA_OF_ACCOUNT;
	facts.room_reply = "451 later";
	facts.room_refusal = "550 never";
	user.bounds.over = OVER_REJECT;
	assert_reply(ACTION_REJECT, "451 later", REASON_ACCOUNT_QUOTA);
	conf.bounds.over = OVER_SANDBOX;
	assert_action(ACTION_SANDBOX);
	user.account_over = OVER_REJECT;
	assert_reply(ACTION_REJECT, "550 never", REASON_ACCOUNT_QUOTA);
	facts.room_whose = QUOTA_OF_SENDER;
	facts.room_domain = "two.example";
	assert_reply(ACTION_REJECT, "550 never", REASON_SENDER_QUOTA);
	assert_string_equal(decide(&facts).domain, "two.example");
	facts.room = ROOM_UNASKED;
	assert_action(ACTION_ASK_ROOM);
}

/* Who may send as somebody of the domain is told so; where he may, not. */
static void
test_addresses(void **state)
{
	struct decision d;

	(void)state;
	begin(STAGE_MAIL_FROM);
	user.addresses = true;
	assert_action(ACTION_PROCEED);
	user.assigned = 0;
	d = decide(&facts);
	assert_int_equal(d.action, ACTION_ASK_ADDRESSES);
	assert_int_equal(d.which, 0);
	assert_blocked(REASON_ADDRESS_NOT_ASSIGNED, "example.org");
	user.addresses = false;
	assert_blocked(REASON_DOMAIN_NOT_ASSIGNED, "example.org");
	/* Those of another domain say nothing. */
	facts.addresses = "two.example";
	user.addresses = true;
	assert_action(ACTION_ASK_ADDRESSES);
}

static void
test_room(void **state)
{
	static const enum stage stages[] = { STAGE_MAIL_FROM,
		STAGE_END_OF_DATA };
	size_t			s;

	(void)state;
	for (s = 0; s < 2; s++) {
		begin(stages[s]);
		/* Who has no limit is not asked about. */
		facts.room = ROOM_NONE;
		facts.room_reply = "451 4.7.1 [QUOTA] full";
		assert_action(ACTION_PROCEED);
		user.limited = true;
		assert_reply(ACTION_REJECT, "451 4.7.1 [QUOTA] full",
		    REASON_QUOTA);
		facts.room = ROOM_UNKNOWN;
		assert_reply(ACTION_REJECT, REPLY_TEMPFAIL,
		    REASON_LIMITS_UNREADABLE);
		facts.room = ROOM_THERE;
		assert_action(ACTION_PROCEED);
		facts.room = ROOM_UNASKED;
		assert_action(ACTION_ASK_ROOM);
		/* Nothing is reserved for what is blocked. */
		user.assigned = 0;
		assert_blocked(REASON_DOMAIN_NOT_ASSIGNED, "example.org");
	}
}

/* Alarms count at the end of data what is relayed, limits or not. */
static void
test_alarms(void **state)
{
	(void)state;
	begin(STAGE_MAIL_FROM);
	tx.alarmed = true;
	assert_action(ACTION_PROCEED);
	begin(STAGE_END_OF_DATA);
	assert_action(ACTION_PROCEED);
	tx.alarmed = true;
	assert_action(ACTION_ASK_ROOM);
	facts.room = ROOM_THERE;
	assert_action(ACTION_PROCEED);
	facts.room = ROOM_BLOCKED;
	assert_blocked(REASON_ALARM, NULL);
	facts.room = ROOM_SANDBOXED;
	assert_reply(ACTION_REJECT, REPLY_TEMPFAIL, REASON_SANDBOXED_MEANWHILE);
	facts.room = ROOM_UNKNOWN;
	assert_reply(ACTION_REJECT, REPLY_TEMPFAIL, REASON_LIMITS_UNREADABLE);
	/* Nothing of a message that is blocked, or swallowed. */
	facts.room = ROOM_UNASKED;
	user.assigned = 0;
	assert_blocked(REASON_DOMAIN_NOT_ASSIGNED, "example.org");
	user.assigned = 1;
	tx.sandboxed = true;
	assert_action(ACTION_PROCEED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordinary_mail_passes),
		cmocka_unit_test(test_the_user_is_asked_for),
		cmocka_unit_test(test_login), cmocka_unit_test(test_expected),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_what_cannot_be_decided),
		cmocka_unit_test(test_auth_leaves_to_smtpd),
		cmocka_unit_test(test_auth_from_a_source_not_listed),
		cmocka_unit_test(test_auth_leaves_the_source_to_mail_from),
		cmocka_unit_test(test_authz),
		cmocka_unit_test(test_what_is_missing),
		cmocka_unit_test(test_nobody_is_asked_for),
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_a_long_sender),
		cmocka_unit_test(test_the_message),
		cmocka_unit_test(test_sandbox), cmocka_unit_test(test_modes),
		cmocka_unit_test(test_spf), cmocka_unit_test(test_bounces),
		cmocka_unit_test(test_every_domain_counts),
		cmocka_unit_test(test_failed_logins),
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_suppressed), cmocka_unit_test(test_over),
		cmocka_unit_test(test_over_of_account),
		cmocka_unit_test(test_room), cmocka_unit_test(test_alarms)
	};

	return (cmocka_run_group_tests_name("decide", tests, NULL, NULL));
}
