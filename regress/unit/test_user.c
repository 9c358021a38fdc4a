/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <hiredis/hiredis.h>
#include <string.h>

#include "unit.h"

#include "resp.h"
#include "user.h"

enum {
	PASSWORD,
	ACCOUNT,
	MODE,
	STATUS,
	QUOTA,
	RATE,
	IP_AUTH,
	CREATED,
	RESTRICTED,
	OVER,
	MAX_RECIPIENTS,
	MAX_SIZE,
	SENDER_QUOTA,
	SENDER_RATE,
	ALARMS,
	BLOCKED_UNTIL
};

#define HASH "$6$salt$hash"

/* A record as HMGET gives it; NULL where there is no such field. */
static const char *fields[USER_FIELDS];

static struct user user;
static bool	   exists;

static const char *
parse_bytes(const char *bytes, size_t len)
{
	redisReply *reply = resp_read(bytes, len);
	const char *bad;

	user_clear(&user);
	exists = true;
	bad = user_parse(&user, &exists, reply, USER_WHOLE);
	freeReplyObject(reply);
	return (bad);
}

static const char *
parse(void)
{
	const char *bytes = resp_array(fields, USER_FIELDS);

	return (parse_bytes(bytes, strlen(bytes)));
}

/* Parses a record with one field set, besides a password. */
static const char *
parse_one(size_t field, const char *text)
{
	memset(fields, 0, sizeof(fields));
	fields[PASSWORD] = HASH;
	fields[field] = text;
	return (parse());
}

static int
clear(void **state)
{
	(void)state;
	user_clear(&user);
	memset(fields, 0, sizeof(fields));
	return (0);
}

static void
test_whole(void **state)
{
	char buf[NETADDR_TEXT];

	(void)state;
	fields[PASSWORD] = HASH;
	fields[ACCOUNT] = "ACME";
	fields[MODE] = "any";
	fields[STATUS] = "sandboxed";
	fields[QUOTA] = "1000";
	fields[RATE] = "100/1h 1000/1d";
	fields[IP_AUTH] = "::ffff:192.0.2.9";
	fields[CREATED] = "2026-01-01";
	fields[RESTRICTED] = "1";
	assert_null(parse());
	assert_true(exists);
	assert_string_equal(user.password, HASH);
	assert_string_equal(user.account, "acme");
	assert_int_equal(user.mode, MODE_ANY);
	assert_int_equal(user.status, STATUS_SANDBOXED);
	assert_true(user.limited);
	assert_string_equal(netaddr_text(&user.ip_auth, buf), "192.0.2.9");
	assert_true(user.restricted);
	assert_true(user_active(&user));
}

static void
test_least(void **state)
{
	(void)state;
	assert_null(parse_one(PASSWORD, HASH));
	assert_true(exists);
	assert_string_equal(user.account, "");
	assert_int_equal(user.mode, MODE_DEFAULT);
	assert_int_equal(user.status, STATUS_ALLOWED);
	assert_false(user.limited);
	assert_int_equal(user.ip_auth.len, 0);
	assert_false(user.pro);
	/* Nothing has been said of sources: so none is allowed. */
	assert_int_equal(user.source, SOURCE_UNASKED);
	assert_false(user_source_allowed(&user));
}

static void
test_none(void **state)
{
	size_t i;

	(void)state;
	assert_null(parse());
	assert_false(exists);
	for (i = 0; i < USER_FIELDS; i++) {
		assert_null(parse_one(i, ""));
		fields[PASSWORD] = NULL;
		fields[i] = "";
		assert_null(parse());
		assert_true(exists);
	}
}

/* What the table asks: the rest is not read, however bad. */
static void
test_scope_of_a_login(void **state)
{
	static const char *const values[] = { HASH, "acme", "blocked",
		"192.0.2.9", "1", NULL };
	const char		*names[USER_FIELDS] = { NULL }, *bytes;
	redisReply		*reply;

	(void)state;
	assert_int_equal(user_scope_fields(USER_LOGIN, names), 6);
	assert_string_equal(names[0], "password");
	assert_string_equal(names[1], "account");
	assert_string_equal(names[2], "status");
	assert_string_equal(names[3], "ip_auth");
	assert_string_equal(names[4], "restricted");
	assert_string_equal(names[5], "blocked_until");
	bytes = resp_array(values, 6);
	reply = resp_read(bytes, strlen(bytes));
	user_clear(&user);
	assert_null(user_parse(&user, &exists, reply, USER_LOGIN));
	assert_true(exists);
	assert_string_equal(user.password, HASH);
	assert_string_equal(user.account, "acme");
	assert_false(user_active(&user));
	assert_int_equal(user.ip_auth.len, 4);
	assert_true(user.restricted);
	assert_string_equal(user_parse(&user, &exists, reply, USER_WHOLE),
	    "not a hash");
	freeReplyObject(reply);
}

/* The same in short, of the account as well. */
static void
test_brief(void **state)
{
	static const char *const values[] = { HASH, "acme", "blocked" };
	const char		*names[USER_FIELDS] = { NULL };
	const char *const	*of_account;
	const char		*bytes = resp_array(values, 3);
	redisReply		*reply = resp_read(bytes, strlen(bytes));
	size_t			 n;

	(void)state;
	assert_int_equal(user_scope_fields(USER_BRIEF, names), 3);
	assert_string_equal(names[0], "password");
	assert_string_equal(names[1], "account");
	assert_string_equal(names[2], "status");
	of_account = user_account_fields(USER_BRIEF, &n);
	assert_int_equal(n, 3);
	assert_string_equal(of_account[0], "plan");
	assert_string_equal(of_account[1], "status");
	assert_string_equal(of_account[2], "user_prefix");
	user_clear(&user);
	assert_null(user_parse(&user, &exists, reply, USER_BRIEF));
	freeReplyObject(reply);
	assert_true(exists);
	assert_string_equal(user.account, "acme");
	assert_false(user_active(&user));
}

/* Fields that are there and empty are as good as absent. */
static void
test_empty_fields(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < USER_FIELDS; i++)
		fields[i] = "";
	assert_null(parse());
	assert_true(exists);
	assert_int_equal(user.status, STATUS_ALLOWED);
	assert_false(user.limited);
	assert_false(user.restricted);
}

/* Redis is asked about limits where there may be any, well formed or not. */
static void
test_limited(void **state)
{
	static const struct {
		const char *quota;
		const char *rate;
		bool	    limited;
	} cases[] = { { NULL, NULL, false }, { "0", NULL, false },
		{ "000", NULL, false }, { NULL, "  ", false },
		{ "0", " ", false }, { "1", NULL, true }, { "0100", "", true },
		{ "-0", NULL, true }, { " 0", NULL, true },
		{ "unlimited", NULL, true }, { NULL, "1/1h", true },
		{ "0", " 1/1h", true }, { NULL, "0", true },
		{ "5", "1/1h", true } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fields[QUOTA] = cases[i].quota;
		fields[RATE] = cases[i].rate;
		assert_null(parse());
		assert_int_equal(user.limited, cases[i].limited);
	}
}

static const struct {
	size_t	    field;
	const char *text;
} good[] = { { PASSWORD, "$y$j9T$abc./$def" }, { PASSWORD, "ab12345678901" },
	{ ACCOUNT, "a" }, { ACCOUNT, "a.b-c" }, { MODE, "default" },
	{ MODE, "all" }, { MODE, "any" }, { STATUS, "allowed" },
	{ STATUS, "blocked" }, { STATUS, "sandboxed" },
	{ QUOTA, "anything \x01 at all" }, { RATE, "anything \x01 at all" },
	{ IP_AUTH, "192.0.2.1" }, { IP_AUTH, "[2001:db8::1]" },
	{ CREATED, "anything \x01 at all" }, { RESTRICTED, "0" },
	{ RESTRICTED, "1" } },
  bad_values[] = { { PASSWORD, "$6$a b$c" }, { PASSWORD, "$6$a:b" },
	  { PASSWORD, "$6$a\xc3\xa9" }, { PASSWORD, "$6$\n" },
	  { PASSWORD, "$6$a;b" }, { PASSWORD, "$6$a\\b" },
	  { PASSWORD, "$6$a*" }, { PASSWORD, "x!" }, { PASSWORD, "\x7f" },
	  { ACCOUNT, "a b" }, { ACCOUNT, "-a" }, { ACCOUNT, "a}" },
	  { ACCOUNT,
	      "01234567890123456789012345678901234567890123456789012345"
	      "678901234" },
	  { MODE, "ALL" }, { MODE, "everything" }, { MODE, " all" },
	  { MODE, "0" }, { STATUS, "Blocked" }, { STATUS, "deleted" },
	  { STATUS, "allowed " }, { STATUS, "1" }, { IP_AUTH, "192.0.2.0/24" },
	  { IP_AUTH, "192.0.2.1/32" }, { IP_AUTH, "relay.example" },
	  { IP_AUTH, "192.0.2.1 " }, { IP_AUTH, "192.0.2.1,192.0.2.2" },
	  { IP_AUTH, "fe80::1%lo" }, { RESTRICTED, "yes" },
	  { RESTRICTED, "01" }, { RESTRICTED, "1 " } };

static void
test_values(void **state)
{
	const char *bad;
	size_t	    i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		bad = parse_one(good[i].field, good[i].text);
		if (bad != NULL)
			fail_msg("refused: %s \"%s\"",
			    user_fields[good[i].field], good[i].text);
	}
	for (i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++) {
		bad = parse_one(bad_values[i].field, bad_values[i].text);
		if (bad == NULL)
			fail_msg("taken: %s \"%s\"",
			    user_fields[bad_values[i].field],
			    bad_values[i].text);
		assert_string_equal(bad, user_fields[bad_values[i].field]);
	}
}

/* passwd(5)'s ways to lock a password: a user with none. */
static void
test_locked(void **state)
{
	static const char *const cases[] = { "*", "!", "!!", "*LK*",
		"!$6$salt$hash", "*0", "" };
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_null(parse_one(PASSWORD, cases[i]));
		assert_true(exists);
		assert_string_equal(user.password, "");
	}
}

static void
test_long(void **state)
{
	char   text[2048];
	size_t i;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(user.password) - 1] = '\0';
	assert_null(parse_one(PASSWORD, text));
	assert_string_equal(user.password, text);
	text[sizeof(user.password) - 1] = 'a';
	text[sizeof(user.password)] = '\0';
	assert_string_equal(parse_one(PASSWORD, text), "password");
	text[sizeof(user.password)] = 'a';

	memset(text, ' ', sizeof(text));
	text[1024] = '\0';
	assert_null(parse_one(RATE, text));
	text[1024] = ' ';
	text[1025] = '\0';
	for (i = 0; i < USER_FIELDS; i++)
		assert_string_equal(parse_one(i, text), user_fields[i]);
}

/* Values that no text can hold, or of a type that none has. */
static void
test_nul_and_types(void **state)
{
	static const char *const values[] = { "$3\r\na\0b\r\n", ":1\r\n",
		"*0\r\n", "+allowed\r\n", "-ERR no\r\n", "$1\r\n\0\r\n" };
	static const size_t	 lens[] = { 9, 4, 4, 10, 9, 7 };
	char			 buf[256];
	size_t			 i, f, g, n;

	(void)state;
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
		for (f = 0; f < USER_FIELDS; f++) {
			n = (size_t)snprintf(buf, sizeof(buf), "*%d\r\n",
			    USER_FIELDS);
			for (g = 0; g < USER_FIELDS; g++) {
				memcpy(buf + n, g == f ? values[i] : "$-1\r\n",
				    g == f ? lens[i] : 5);
				n += g == f ? lens[i] : 5;
			}
			assert_string_equal(parse_bytes(buf, n),
			    user_fields[f]);
		}
}

/* One field less than was asked for, and one more. */
static void
test_not_a_hash(void **state)
{
	static const char *const none[USER_FIELDS + 1];
	const char *const cases[] = { "*0\r\n", "$-1\r\n", "*-1\r\n", ":0\r\n",
		"+OK\r\n", "$1\r\nx\r\n", "-WRONGTYPE x\r\n",
		resp_array(none, USER_FIELDS - 1),
		resp_array(none, USER_FIELDS + 1) };
	size_t		  i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(parse_bytes(cases[i], strlen(cases[i])),
		    "not a hash");
		assert_false(exists);
	}
}

/* What a list says of one source. */
static enum user_source
judge(const char *bytes, size_t len, const char *source)
{
	redisReply    *reply = resp_read(bytes, len);
	struct netaddr na = { 0 };

	if (source != NULL)
		assert_true(netaddr_parse(source, &na));
	user.source = SOURCE_LISTED;
	assert_null(user_parse_list(&user, reply, &na));
	freeReplyObject(reply);
	assert_int_equal(user_source_allowed(&user),
	    user.source == SOURCE_ANY || user.source == SOURCE_LISTED);
	return (user.source);
}

static enum user_source
judge_list(const char *const *list, size_t n, const char *source)
{
	const char *bytes = resp_array(list, n);

	return (judge(bytes, strlen(bytes), source));
}

static void
test_sources(void **state)
{
	static const char *const some[] = { "junk", "192.0.2.1", "",
		"10.1.2.3/8", "300.0.0.0/8", "2001:db8::/129",
		"2001:DB8:0:1::/64" };
	static const char *const none[] = { "junk", "192.0.2.1-9", "" };
	static const char	 odd[] = "*3\r\n:1\r\n$-1\r\n"
					 "$11\r\n192.0.2.1\0x\r\n";

	(void)state;
	/* As people write them. */
	assert_int_equal(judge_list(some, 7, "192.0.2.1"), SOURCE_LISTED);
	assert_int_equal(judge_list(some, 7, "10.9.8.7"), SOURCE_LISTED);
	assert_int_equal(judge_list(some, 7, "2001:db8:0:1::9"), SOURCE_LISTED);
	assert_int_equal(judge_list(some, 7, "192.0.2.2"), SOURCE_UNLISTED);
	assert_int_equal(judge_list(some, 7, "2001:db8::1"), SOURCE_UNLISTED);
	/* One of which nothing parses lets nobody in. */
	assert_int_equal(judge_list(none, 3, "192.0.2.1"), SOURCE_UNLISTED);
	assert_int_equal(judge_list(none, 3, "::1"), SOURCE_UNLISTED);
	assert_int_equal(judge(odd, sizeof(odd) - 1, "192.0.2.1"),
	    SOURCE_UNLISTED);
	/* None lets everybody in, a source besides that is none. */
	assert_int_equal(judge_list(NULL, 0, "192.0.2.1"), SOURCE_ANY);
	assert_int_equal(judge_list(NULL, 0, NULL), SOURCE_ANY);
	/* Which no list holds. */
	assert_int_equal(judge_list(some, 7, NULL), SOURCE_UNLISTED);
	assert_int_equal(judge_list(none, 3, NULL), SOURCE_UNLISTED);
}

static void
test_families(void **state)
{
	static const char *const	v4[] = { "0.0.0.0/0" },
				 *const v6[] = { "::/0" };

	(void)state;
	assert_int_equal(judge_list(v6, 1, "2001:db8::1"), SOURCE_LISTED);
	assert_int_equal(judge_list(v6, 1, "192.0.2.1"), SOURCE_UNLISTED);
	assert_int_equal(judge_list(v6, 1, NULL), SOURCE_UNLISTED);
	assert_int_equal(judge_list(v4, 1, "192.0.2.1"), SOURCE_LISTED);
	assert_int_equal(judge_list(v4, 1, "::ffff:192.0.2.1"), SOURCE_LISTED);
	assert_int_equal(judge_list(v4, 1, "::1"), SOURCE_UNLISTED);
	assert_int_equal(judge_list(v4, 1, NULL), SOURCE_UNLISTED);
}

/* As many as a short list has, and one more, of which nothing is told. */
static void
test_longest_list(void **state)
{
	char	    text[USER_SHORT_LIST + 1][24];
	const char *list[USER_SHORT_LIST + 1];
	size_t	    i;

	(void)state;
	for (i = 0; i <= USER_SHORT_LIST; i++) {
		snprintf(text[i], sizeof(text[i]), "10.0.%zu.1", i);
		list[i] = text[i];
	}
	assert_int_equal(judge_list(list, USER_SHORT_LIST, "10.0.0.1"),
	    SOURCE_LISTED);
	assert_int_equal(judge_list(list, USER_SHORT_LIST, "10.0.63.1"),
	    SOURCE_LISTED);
	assert_int_equal(judge_list(list, USER_SHORT_LIST, "10.0.64.1"),
	    SOURCE_UNLISTED);
	assert_int_equal(judge_list(list, USER_SHORT_LIST + 1, "10.0.0.1"),
	    SOURCE_UNASKED);
	assert_false(user_source_allowed(&user));
}

static void
test_not_a_set(void **state)
{
	static const char *const cases[] = { "$-1\r\n", ":0\r\n", "+OK\r\n",
		"$9\r\n192.0.2.1\r\n", "-WRONGTYPE x\r\n" };
	struct netaddr		 na;
	redisReply		*reply;
	size_t			 i;

	(void)state;
	assert_true(netaddr_parse("192.0.2.1", &na));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reply = resp_read(cases[i], strlen(cases[i]));
		user.source = SOURCE_LISTED;
		assert_string_equal(user_parse_list(&user, reply, &na),
		    "not a set");
		assert_false(user_source_allowed(&user));
		freeReplyObject(reply);
	}
}

static void
test_source_allowed(void **state)
{
	(void)state;
	user.source = SOURCE_ANY;
	assert_true(user_source_allowed(&user));
	user.source = SOURCE_LISTED;
	assert_true(user_source_allowed(&user));
	user.source = SOURCE_UNLISTED;
	assert_false(user_source_allowed(&user));
	user.source = SOURCE_UNASKED;
	assert_false(user_source_allowed(&user));
}

/* Without the list that must be there, nothing is allowed. */
static void
test_restricted(void **state)
{
	(void)state;
	user.restricted = true;
	user.source = SOURCE_ANY;
	assert_false(user_source_allowed(&user));
	assert_true(user_list_missing(&user));
	user.source = SOURCE_LISTED;
	assert_true(user_source_allowed(&user));
	assert_false(user_list_missing(&user));
	user.source = SOURCE_UNLISTED;
	assert_false(user_source_allowed(&user));
	assert_false(user_list_missing(&user));
	user.restricted = false;
	user.source = SOURCE_ANY;
	assert_false(user_list_missing(&user));
}

static void
test_any_domain(void **state)
{
	static const enum user_mode modes[] = { MODE_DEFAULT, MODE_ALL,
		MODE_ANY };
	size_t			    i;

	(void)state;
	for (i = 0; i < 3; i++) {
		user.mode = modes[i];
		user.pro = false;
		assert_false(user_any_domain(&user));
		user.pro = true;
		assert_int_equal(user_any_domain(&user), modes[i] == MODE_ANY);
	}
}

static void
test_fold_name(void **state)
{
	static const struct {
		const char *in;
		const char *out; /* NULL: no name */
	} cases[] = { { "a", "a" }, { "0", "0" }, { "Alice", "alice" },
		{ "a.B_c+D-9", "a.b_c+d-9" }, { "", NULL }, { ".a", NULL },
		{ "_a", NULL }, { "-a", NULL }, { "+a", NULL }, { "a b", NULL },
		{ "a@b", NULL }, { "a}", NULL }, { "{a", NULL }, { "a:", NULL },
		{ "a\n", NULL }, { "\xc3\xa4", NULL } };
	char   out[USER_NAME_MAX + 1], text[USER_NAME_MAX + 2];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(user_fold_name(cases[i].in, out),
		    cases[i].out != NULL);
		if (cases[i].out != NULL)
			assert_string_equal(out, cases[i].out);
	}
	memset(text, 'A', sizeof(text));
	text[USER_NAME_MAX + 1] = '\0';
	assert_false(user_fold_name(text, out));
	text[USER_NAME_MAX] = '\0';
	assert_true(user_fold_name(text, out));
	assert_int_equal(strspn(out, "a"), USER_NAME_MAX);
}

/* Gives a user of this status the account that the reply tells of. */
static const char *
parse_account(enum user_status status, const char *bytes)
{
	redisReply    *reply = resp_read(bytes, strlen(bytes));
	struct account account;
	const char    *bad;

	memset(&account, 0, sizeof(account));
	user_clear(&user);
	user.status = status;
	bad = account_parse(&account, reply, USER_WHOLE);
	freeReplyObject(reply);
	if (bad == NULL)
		user_take_account(&user, &account);
	return (bad);
}

/* Of a user's status and the account's, the worse counts. */
static void
test_account_status(void **state)
{
	static const char *const replies[] = {
		"*10\r\n$-1\r\n$-1\r\n$7\r\nallowed\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
		"*10\r\n$-1\r\n$-1\r\n$7\r\nblocked\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
		"*10\r\n$-1\r\n$-1\r\n$9\r\nsandboxed\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
		"*10\r\n$-1\r\n$5\r\nbasic\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"
	};
	static const enum user_status status[] = { STATUS_ALLOWED,
		STATUS_BLOCKED, STATUS_SANDBOXED, STATUS_ALLOWED };
	static const int	      badness[] = { 0, 2, 1 };
	size_t			      i, j;
	int			      worse;

	(void)state;
	for (i = 0; i < 3; i++) {
		for (j = 0; j < 4; j++) {
			assert_null(parse_account(status[i], replies[j]));
			worse = badness[status[i]] > badness[status[j]]
			    ? badness[status[i]]
			    : badness[status[j]];
			assert_int_equal(badness[user.status], worse);
			assert_int_equal(user_active(&user), worse < 2);
		}
	}
}

/* A status that has run out is allowed; what ends never, or cannot be read, not. */
static void
test_blocked_until(void **state)
{
	static const struct {
		const char	*status, *until;
		enum user_status want;
	} rows[] = { { "blocked", "2026-01-01T00:00:00Z", STATUS_ALLOWED },
		{ "sandboxed", "2026-01-01T00:00:00Z", STATUS_ALLOWED },
		{ "allowed", "2026-01-01T00:00:00Z", STATUS_ALLOWED },
		{ NULL, "9999-01-01T00:00:00Z", STATUS_ALLOWED },
		{ "blocked", "9999-01-01T00:00:00Z", STATUS_BLOCKED },
		{ "sandboxed", "9999-01-01T00:00:00Z", STATUS_SANDBOXED },
		{ "blocked", NULL, STATUS_BLOCKED },
		{ "blocked", "", STATUS_BLOCKED },
		{ "blocked", "0", STATUS_BLOCKED },
		{ "blocked", "2026-02-30T00:00:00Z", STATUS_BLOCKED },
		{ "sandboxed", "2026-01-01", STATUS_SANDBOXED } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(fields, 0, sizeof(fields));
		fields[STATUS] = rows[i].status;
		fields[BLOCKED_UNTIL] = rows[i].until;
		assert_null(parse());
		assert_int_equal(user.status, rows[i].want);
	}
}

/* What the user does not say, the account says, and then the configuration. */
static void
test_alarms(void **state)
{
	struct alarm_limits others;

	(void)state;
	assert_null(parse_one(ALARMS, "sources=off senders=7/10m"));
	assert_int_equal(user.alarms.of[ALARM_SOURCES].count, LIMIT_NONE);
	assert_int_equal(user.alarms.of[ALARM_SENDERS].count, 7);
	assert_int_equal(user.alarms.of[ALARM_SENDERS].period, 600);
	assert_int_equal(user.alarms.of[ALARM_VOLUME].count, LIMIT_UNSET);
	assert_true(alarm_parse("sources=1/1h volume=3/1h", &others));
	alarm_take(&user.alarms, &others);
	assert_int_equal(user.alarms.of[ALARM_SOURCES].count, LIMIT_NONE);
	assert_int_equal(user.alarms.of[ALARM_SENDERS].count, 7);
	assert_int_equal(user.alarms.of[ALARM_VOLUME].count, 3);
	assert_null(parse_one(ALARMS, ""));
	assert_int_equal(user.alarms.of[ALARM_SOURCES].count, LIMIT_UNSET);
	assert_string_equal(parse_one(ALARMS, "sources"), "alarms");
	assert_null(parse_account(STATUS_ALLOWED,
	    "*10\r\n$13\r\nvolume=100/1h\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"
	    "$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"));
	assert_int_equal(user.alarms.of[ALARM_VOLUME].count, 100);
	assert_false(user.no_account);
}

/* What neither says is unset; 0 is said, and is none. */
static void
test_bounds(void **state)
{
	const struct bounds others = { OVER_SANDBOX, 7, 100 };

	(void)state;
	assert_null(parse_one(OVER, "reject"));
	assert_int_equal(user.bounds.over, OVER_REJECT);
	assert_int_equal(user.bounds.max_recipients, LIMIT_UNSET);
	assert_int_equal(user.bounds.max_size, LIMIT_UNSET);
	bounds_take(&user.bounds, &others);
	assert_int_equal(user.bounds.over, OVER_REJECT);
	assert_int_equal(user.bounds.max_recipients, 7);
	assert_int_equal(user.bounds.max_size, 100);
	assert_null(parse_one(MAX_RECIPIENTS, "0"));
	bounds_take(&user.bounds, &others);
	assert_int_equal(user.bounds.over, OVER_SANDBOX);
	assert_int_equal(user.bounds.max_recipients, LIMIT_NONE);
	assert_null(parse_one(MAX_SIZE, "25M"));
	assert_int_equal(user.bounds.max_size, 25 << 20);
	assert_null(parse_one(OVER, "defer"));
	assert_int_equal(user.bounds.over, OVER_DEFER);
	assert_string_equal(parse_one(OVER, "Reject"), "over");
	assert_string_equal(parse_one(MAX_RECIPIENTS, "-1"), "max_recipients");
	assert_string_equal(parse_one(MAX_SIZE, "1k"), "max_size");
	assert_null(parse_account(STATUS_ALLOWED,
	    "*10\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$7\r\nsandbox\r\n$3\r\n050\r\n"
	    "$2\r\n1K\r\n$-1\r\n$-1\r\n$-1\r\n"));
	assert_int_equal(user.bounds.over, OVER_SANDBOX);
	assert_int_equal(user.bounds.max_recipients, 50);
	assert_int_equal(user.bounds.max_size, 1024);
	assert_false(user.no_account);
}

/* What the account says of itself, which its users' limits say nothing of. */
static void
test_account_limits(void **state)
{
#define LIMITS(over, quota, period, rate)                \
	"*10\r\n$-1\r\n$3\r\npro\r\n$-1\r\n$-1\r\n" over \
	"$-1\r\n$-1\r\n" quota period rate
#define NIL "$-1\r\n"
	(void)state;
	assert_null(parse_one(QUOTA, "9"));
	strlcpy(user.account, "acme", sizeof(user.account));
	assert_null(parse_account(STATUS_ALLOWED, LIMITS(NIL, NIL, NIL, NIL)));
	assert_string_equal(user_limited_account(&user), "");
	assert_null(parse_account(STATUS_ALLOWED,
	    LIMITS(NIL, "$2\r\n00\r\n", "$2\r\n1h\r\n", "$1\r\n \r\n")));
	assert_false(user.account_limited);
	assert_null(parse_account(STATUS_ALLOWED,
	    LIMITS("$6\r\nreject\r\n", "$2\r\n10\r\n", NIL, NIL)));
	assert_true(user.account_limited);
	assert_int_equal(user.account_over, OVER_REJECT);
	assert_null(parse_account(STATUS_ALLOWED,
	    LIMITS(NIL, NIL, NIL, "$1\r\nx\r\n")));
	assert_true(user.account_limited);
	assert_string_equal(parse_account(STATUS_ALLOWED,
				LIMITS(NIL, ":1\r\n", NIL, NIL)),
	    "quota");
	assert_string_equal(parse_account(STATUS_ALLOWED,
				LIMITS(NIL, NIL, NIL, ":1\r\n")),
	    "rate");
	/* All that is known of one is enough for it to be there. */
	assert_null(parse_account(STATUS_ALLOWED,
	    "*10\r\n$-1\r\n" NIL NIL NIL NIL NIL NIL NIL "$2\r\n1h\r\n" NIL));
	assert_false(user.no_account);
}

/* What said that it was blocked may be what is lost. */
static void
test_no_account(void **state)
{
	static const char *const there[] = {
		"*10\r\n$-1\r\n$0\r\n\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
		"*10\r\n$-1\r\n$-1\r\n$0\r\n\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
		"*10\r\n$-1\r\n$-1\r\n$-1\r\n$0\r\n\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"
	};
	size_t i;

	(void)state;
	assert_null(parse_account(STATUS_ALLOWED,
	    "*10\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"));
	assert_true(user.no_account);
	assert_false(user_active(&user));
	for (i = 0; i < 3; i++) {
		assert_null(parse_account(STATUS_ALLOWED, there[i]));
		assert_false(user.no_account);
		assert_true(user_active(&user));
	}
}

static void
test_plan(void **state)
{
	(void)state;
	assert_null(parse_account(STATUS_ALLOWED,
	    "*10\r\n$-1\r\n$3\r\npro\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"));
	assert_true(user.pro);
	assert_null(parse_account(STATUS_ALLOWED,
	    "*10\r\n$-1\r\n$4\r\nfree\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"));
	assert_false(user.pro);
	assert_null(parse_account(STATUS_ALLOWED,
	    "*10\r\n$-1\r\n$3\r\nPro\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"));
	assert_false(user.pro);
	assert_null(parse_account(STATUS_ALLOWED,
	    "*10\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"));
	assert_false(user.pro);
}

/* A user who is not the account's gets nothing of it either. */
static void
test_prefix(void **state)
{
	static const struct {
		const char *prefix, *name;
		bool	    fits;
	} rows[] = { { "acme-", "acme-bob", true }, { "acme-", "acme-", true },
		{ "acme-", "acme", false }, { "acme-", "bob", false },
		{ "acme-", "xacme-", false }, { "", "bob", true } };
	struct account account = { .pro = true };
	size_t	       i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		user_clear(&user);
		strlcpy(user.name, rows[i].name, sizeof(user.name));
		strlcpy(account.prefix, rows[i].prefix, sizeof(account.prefix));
		user_take_account(&user, &account);
		assert_int_equal(user_active(&user), rows[i].fits);
		assert_int_equal(user.pro, rows[i].fits);
	}
	assert_null(parse_account(STATUS_ALLOWED,
	    "*10\r\n$-1\r\n$-1\r\n$-1\r\n$5\r\nacme-\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"));
	assert_false(user_active(&user));
}

#define TEN "xxxxxxxxxx"
#define LONG_PREFIX                                                       \
	"*10\r\n$-1\r\n$-1\r\n$-1\r\n$70\r\n" TEN TEN TEN TEN TEN TEN TEN \
	"\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"

static void
test_bad_account(void **state)
{
	static const char *const cases[] = { "*0\r\n", "$-1\r\n",
		"*1\r\n$-1\r\n", "*4\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n", ":1\r\n",
		"*10\r\n$-1\r\n:1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
		"*10\r\n$-1\r\n$-1\r\n:1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
		"*10\r\n$-1\r\n$-1\r\n$4\r\ngone\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
		"*2\r\n$-1\r\n$-1\r\n",
		"*10\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$1\r\nx\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
		"*10\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$2\r\n-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
		"*10\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$2\r\n1k\r\n$-1\r\n$-1\r\n$-1\r\n",
		"*10\r\n$-1\r\n$-1\r\n$-1\r\n:1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
		LONG_PREFIX, "+OK\r\n" };
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (parse_account(STATUS_ALLOWED, cases[i]) == NULL)
			fail_msg("taken: %s", cases[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, clear, clear)
		TEST(test_whole), TEST(test_least), TEST(test_none),
		TEST(test_scope_of_a_login), TEST(test_brief),
		TEST(test_empty_fields), TEST(test_limited), TEST(test_values),
		TEST(test_locked), TEST(test_long), TEST(test_nul_and_types),
		TEST(test_not_a_hash), TEST(test_sources), TEST(test_families),
		TEST(test_longest_list), TEST(test_not_a_set),
		TEST(test_source_allowed), TEST(test_restricted),
		TEST(test_bounds), TEST(test_blocked_until), TEST(test_alarms),
		TEST(test_account_limits), TEST(test_any_domain),
		TEST(test_no_account), TEST(test_fold_name),
		TEST(test_account_status), TEST(test_plan), TEST(test_prefix),
		TEST(test_bad_account)
	};

	return (cmocka_run_group_tests_name("user", tests, NULL, NULL));
}
