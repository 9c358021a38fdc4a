/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "fakeredis.h"
#include "log.h"
#include "redisconn.h"
#include "user.h"

enum {
	PASSWORD,
	ACCOUNT,
	MODE,
	STATUS,
	QUOTA,
	QUOTA_PERIOD,
	RATE,
	IP_AUTH,
	CREATED,
	NFIELDS
};

#define HASH "$6$salt$hash"

/* A record as HMGET gives it; NULL where there is no such field. */
static const char *fields[NFIELDS];

static struct user user;
static bool	   exists;

/* Appends a bulk string, or none, to a reply in the making. */
static size_t
bulk(char *buf, size_t size, size_t n, const char *text)
{
	if (text == NULL)
		return (n + (size_t)snprintf(buf + n, size - n, "$-1\r\n"));
	return (n +
	    (size_t)snprintf(buf + n, size - n, "$%zu\r\n%s\r\n", strlen(text),
		text));
}

static const char *
array(const char *const *texts, size_t n)
{
	static char buf[2][16384];
	static int  turn;
	char	   *out = buf[turn ^= 1];
	size_t	    len, i;

	len = (size_t)snprintf(out, sizeof(buf[0]), "*%zu\r\n", n);
	for (i = 0; i < n; i++)
		len = bulk(out, sizeof(buf[0]), len, texts[i]);
	return (out);
}

static redisReply *
reply_len(const char *bytes, size_t len)
{
	redisReader *reader = redisReaderCreate();
	void	    *reply;

	assert_non_null(reader);
	assert_int_equal(redisReaderFeed(reader, bytes, len), REDIS_OK);
	assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
	assert_non_null(reply);
	redisReaderFree(reader);
	return (reply);
}

static const char *
parse_bytes(const char *hash, size_t hashlen, const char *ips, size_t ipslen)
{
	redisReply *a = reply_len(hash, hashlen);
	redisReply *b = reply_len(ips, ipslen);
	const char *bad;

	user_clear(&user);
	user.quota_period = 86400;
	exists = true;
	bad = user_parse(&user, &exists, a, b);
	freeReplyObject(a);
	freeReplyObject(b);
	return (bad);
}

static const char *
parse(const char *ips)
{
	const char *hash = array(fields, NFIELDS);

	return (parse_bytes(hash, strlen(hash), ips, strlen(ips)));
}

/* Parses a record with one field set, besides a password. */
static const char *
parse_one(size_t field, const char *text)
{
	memset(fields, 0, sizeof(fields));
	fields[PASSWORD] = HASH;
	fields[field] = text;
	return (parse("*0\r\n"));
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
	static const char *const ips[] = { "192.0.2.0/24", "2001:db8::1" };
	struct netaddr		 na;
	char			 buf[NETADDR_TEXT];

	(void)state;
	fields[PASSWORD] = HASH;
	fields[ACCOUNT] = "ACME";
	fields[MODE] = "any";
	fields[STATUS] = "sandboxed";
	fields[QUOTA] = "1000";
	fields[QUOTA_PERIOD] = "30d";
	fields[RATE] = "100/1h 1000/1d";
	fields[IP_AUTH] = "::ffff:192.0.2.9";
	fields[CREATED] = "2026-01-01";
	assert_null(parse(array(ips, 2)));
	assert_true(exists);
	assert_string_equal(user.password, HASH);
	assert_string_equal(user.account, "acme");
	assert_int_equal(user.mode, MODE_ANY);
	assert_int_equal(user.status, STATUS_SANDBOXED);
	assert_int_equal(user.quota, 1000);
	assert_int_equal(user.quota_period, 30 * 86400);
	assert_int_equal(user.nrates, 2);
	assert_int_equal(user.rates[0].n, 100);
	assert_int_equal(user.rates[0].period, 3600);
	assert_int_equal(user.rates[1].n, 1000);
	assert_int_equal(user.rates[1].period, 86400);
	assert_string_equal(netaddr_text(&user.ip_auth, buf), "192.0.2.9");
	assert_false(user.any_source);
	netaddr_parse("192.0.2.200", &na);
	assert_true(user_allows_source(&user, &na));
	netaddr_parse("2001:db8::2", &na);
	assert_false(user_allows_source(&user, &na));
	assert_true(user_active(&user));
}

static void
test_least(void **state)
{
	struct netaddr na;

	(void)state;
	assert_null(parse_one(PASSWORD, HASH));
	assert_true(exists);
	assert_string_equal(user.account, "");
	assert_int_equal(user.mode, MODE_DEFAULT);
	assert_int_equal(user.status, STATUS_ALLOWED);
	assert_int_equal(user.quota, 0);
	assert_int_equal(user.quota_period, 86400); /* as it was */
	assert_int_equal(user.nrates, 0);
	assert_int_equal(user.ip_auth.len, 0);
	assert_false(user.pro);
	assert_true(user.any_source);
	netaddr_parse("192.0.2.1", &na);
	assert_true(user_allows_source(&user, &na));
}

static void
test_none(void **state)
{
	(void)state;
	assert_null(parse("*0\r\n"));
	assert_false(exists);
	/* A list without a user is no user. */
	assert_null(parse("*1\r\n$9\r\n192.0.2.1\r\n"));
	assert_false(exists);
	fields[CREATED] = "";
	assert_null(parse("*0\r\n"));
	assert_true(exists);
}

/* Fields that are there and empty are as good as absent. */
static void
test_empty_fields(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NFIELDS; i++)
		fields[i] = "";
	assert_null(parse("*0\r\n"));
	assert_true(exists);
	assert_int_equal(user.status, STATUS_ALLOWED);
	assert_int_equal(user.quota_period, 86400);
}

static const struct {
	size_t	    field;
	const char *text;
} good[] = { { PASSWORD, "$y$j9T$abc./$def" }, { PASSWORD, "ab12345678901" },
	{ ACCOUNT, "a" }, { ACCOUNT, "a.b-c" }, { MODE, "default" },
	{ MODE, "all" }, { MODE, "any" }, { STATUS, "allowed" },
	{ STATUS, "blocked" }, { STATUS, "sandboxed" }, { QUOTA, "0" },
	{ QUOTA, "007" }, { QUOTA, "1000000000000" }, { QUOTA_PERIOD, "1" },
	{ QUOTA_PERIOD, "3650d" }, { RATE, " " }, { RATE, "1/1" },
	{ RATE, "  1/1s   2/2m " }, { RATE, "1/1 1/1 1/1 1/1 1/1 1/1 1/1 1/1" },
	{ RATE, "1000000000000/3650d" }, { IP_AUTH, "192.0.2.1" },
	{ IP_AUTH, "[2001:db8::1]" }, { CREATED, "anything \x01 at all" } },
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
	  { STATUS, "allowed " }, { STATUS, "1" }, { QUOTA, "-1" },
	  { QUOTA, "+1" }, { QUOTA, " 1" }, { QUOTA, "1 " }, { QUOTA, "1.5" },
	  { QUOTA, "unlimited" }, { QUOTA, "0x10" }, { QUOTA, "1000000000001" },
	  { QUOTA, "99999999999999999999999" },
	  { QUOTA, "18446744073709551616" }, { QUOTA_PERIOD, "0" },
	  { QUOTA_PERIOD, "1y" }, { QUOTA_PERIOD, "-1" }, { QUOTA_PERIOD, "d" },
	  { RATE, "100" }, { RATE, "100/" }, { RATE, "/1h" }, { RATE, "0/1h" },
	  { RATE, "-1/1h" }, { RATE, "1/0" }, { RATE, "1/1h," },
	  { RATE, "1/1h,1/1d" }, { RATE, "1/1h/1d" }, { RATE, "1/ 1h" },
	  { RATE, "1 /1h" }, { RATE, "1/1h\t1/1d" }, { RATE, "1.5/1h" },
	  { RATE, "1000000000001/1h" }, { RATE, "1/1h x" },
	  { RATE, "1/1 1/1 1/1 1/1 1/1 1/1 1/1 1/1 1/1" },
	  { IP_AUTH, "192.0.2.0/24" }, { IP_AUTH, "192.0.2.1/32" },
	  { IP_AUTH, "relay.example" }, { IP_AUTH, "192.0.2.1 " },
	  { IP_AUTH, "192.0.2.1,192.0.2.2" }, { IP_AUTH, "fe80::1%lo" } };

static const char *const names[NFIELDS] = { "password", "account", "mode",
	"status", "quota", "quota_period", "rate", "ip_auth", "created" };

static void
test_values(void **state)
{
	const char *bad;
	size_t	    i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		bad = parse_one(good[i].field, good[i].text);
		if (bad != NULL)
			fail_msg("refused: %s \"%s\"", names[good[i].field],
			    good[i].text);
	}
	for (i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++) {
		bad = parse_one(bad_values[i].field, bad_values[i].text);
		if (bad == NULL)
			fail_msg("taken: %s \"%s\"", names[bad_values[i].field],
			    bad_values[i].text);
		assert_string_equal(bad, names[bad_values[i].field]);
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
	for (i = 0; i < NFIELDS; i++)
		assert_string_equal(parse_one(i, text), names[i]);
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
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		for (f = 0; f < NFIELDS; f++) {
			n = (size_t)snprintf(buf, sizeof(buf), "*9\r\n");
			for (g = 0; g < NFIELDS; g++) {
				if (g != f) {
					n = bulk(buf, sizeof(buf), n, NULL);
					continue;
				}
				memcpy(buf + n, values[i], lens[i]);
				n += lens[i];
			}
			assert_string_equal(parse_bytes(buf, n, "*0\r\n", 4),
			    names[f]);
		}
	}
}

static void
test_not_a_hash(void **state)
{
	static const char *const cases[] = { "*0\r\n", "$-1\r\n", "*-1\r\n",
		":0\r\n", "+OK\r\n", "$1\r\nx\r\n", "-WRONGTYPE x\r\n",
		"*8\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"
		"$-1\r\n",
		"*10\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"
		"$-1\r\n$-1\r\n$-1\r\n" };
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(parse_bytes(cases[i], strlen(cases[i]),
					"*0\r\n", 4),
		    "not a hash");
		assert_false(exists);
	}
}

static bool
allows(const char *text)
{
	struct netaddr na;

	assert_true(netaddr_parse(text, &na));
	return (user_allows_source(&user, &na));
}

static void
test_sources(void **state)
{
	static const char *const some[] = { "junk", "192.0.2.1", "",
		"10.0.0.0/8", "300.0.0.0/8", "2001:db8::/129" };
	static const char *const none[] = { "junk", "192.0.2.1-9", "" };
	static const char	 odd[] = "*3\r\n:1\r\n$-1\r\n"
					 "$11\r\n192.0.2.1\0x\r\n";
	const char		*hash;

	(void)state;
	fields[PASSWORD] = HASH;
	assert_null(parse(array(some, 6)));
	assert_true(allows("192.0.2.1"));
	assert_true(allows("10.9.8.7"));
	assert_false(allows("192.0.2.2"));
	assert_false(allows("2001:db8::1"));
	/* One of which nothing parses lets nobody in. */
	assert_null(parse(array(none, 3)));
	assert_false(user.any_source);
	assert_false(allows("192.0.2.1"));
	assert_false(allows("::1"));
	hash = array(fields, NFIELDS);
	assert_null(parse_bytes(hash, strlen(hash), odd, sizeof(odd) - 1));
	assert_false(user.any_source);
	assert_false(allows("192.0.2.1"));
	/* An IPv6 set for IPv6, and all of it. */
	assert_null(parse("*1\r\n$4\r\n::/0\r\n"));
	assert_true(allows("2001:db8::1"));
	assert_false(allows("192.0.2.1"));
}

static void
test_not_a_set(void **state)
{
	static const char *const cases[] = { "$-1\r\n", ":0\r\n", "+OK\r\n",
		"$9\r\n192.0.2.1\r\n", "-WRONGTYPE x\r\n" };
	size_t			 i;

	(void)state;
	fields[PASSWORD] = HASH;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(parse(cases[i]), "ips: not a set");
}

/* As many sources as are taken, and one more. */
static void
test_many_sources(void **state)
{
	const char *hash;
	char	   *ips, addr[24];
	size_t	    i, n, size = (USER_IPS_MAX + 2) * 32;

	(void)state;
	fields[PASSWORD] = HASH;
	hash = array(fields, NFIELDS);
	ips = malloc(size);
	assert_non_null(ips);
	n = (size_t)snprintf(ips, size, "*%d\r\n", USER_IPS_MAX);
	for (i = 0; i < USER_IPS_MAX; i++) {
		snprintf(addr, sizeof(addr), "10.%zu.%zu.1", i >> 8, i & 255);
		n = bulk(ips, size, n, addr);
	}
	assert_null(parse_bytes(hash, strlen(hash), ips, n));
	assert_true(allows("10.255.255.1"));
	assert_true(allows("10.0.0.1"));
	assert_false(allows("10.0.0.2"));
	n = (size_t)snprintf(ips, size, "*%d\r\n", USER_IPS_MAX + 1);
	for (i = 0; i <= USER_IPS_MAX; i++)
		n = bulk(ips, size, n, "192.0.2.1");
	assert_string_equal(parse_bytes(hash, strlen(hash), ips, n),
	    "ips: too many entries");
	free(ips);
}

static const char *
parse_account(enum user_status status, const char *bytes)
{
	redisReply *reply = reply_len(bytes, strlen(bytes));
	const char *bad;

	user_clear(&user);
	user.status = status;
	bad = user_parse_account(&user, reply);
	freeReplyObject(reply);
	return (bad);
}

/* Of a user's status and the account's, the worse counts. */
static void
test_account_status(void **state)
{
	static const char *const replies[] = { "*2\r\n$-1\r\n$7\r\nallowed\r\n",
		"*2\r\n$-1\r\n$7\r\nblocked\r\n",
		"*2\r\n$-1\r\n$9\r\nsandboxed\r\n", "*2\r\n$-1\r\n$-1\r\n" };
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

static void
test_plan(void **state)
{
	(void)state;
	assert_null(parse_account(STATUS_ALLOWED,
	    "*2\r\n$3\r\npro\r\n$-1\r\n"));
	assert_true(user.pro);
	assert_null(parse_account(STATUS_ALLOWED,
	    "*2\r\n$4\r\nfree\r\n$-1\r\n"));
	assert_false(user.pro);
	assert_null(parse_account(STATUS_ALLOWED,
	    "*2\r\n$3\r\nPro\r\n$-1\r\n"));
	assert_false(user.pro);
	assert_null(parse_account(STATUS_ALLOWED, "*2\r\n$-1\r\n$-1\r\n"));
	assert_false(user.pro);
}

static void
test_bad_account(void **state)
{
	static const char *const cases[] = { "*0\r\n", "$-1\r\n",
		"*1\r\n$-1\r\n", "*3\r\n$-1\r\n$-1\r\n$-1\r\n", ":1\r\n",
		"*2\r\n:1\r\n$-1\r\n", "*2\r\n$-1\r\n:1\r\n",
		"*2\r\n$-1\r\n$4\r\ngone\r\n", "+OK\r\n" };
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (parse_account(STATUS_ALLOWED, cases[i]) == NULL)
			fail_msg("taken: %s", cases[i]);
}

/* From here on, users are asked for. */

static struct event_base  *base;
static struct fakeredis	   fake;
static struct redisconn	  *rc;
static struct unit_capture capture;
static bool		   capturing;
static int		   called;
static enum user_found	   found;
static char		   found_name[USER_NAME_MAX + 1];
static char		   found_account[USER_NAME_MAX + 1];
static bool		   found_pro, found_active, found_any;

static void
on_user(void *arg, enum user_found f, const struct user *u)
{
	assert_ptr_equal(arg, &called);
	called++;
	found = f;
	assert_int_equal(u != NULL, f == USER_OK);
	if (u == NULL)
		return;
	memcpy(found_name, u->name, sizeof(found_name));
	memcpy(found_account, u->account, sizeof(found_account));
	found_pro = u->pro;
	found_active = user_active(u);
	found_any = u->any_source;
}

static const char *
logged(void)
{
	capturing = false;
	return (unit_captured(&capture));
}

static int
set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	log_init("unit");
	called = 0;
	base = event_base_new();
	fakeredis_init(&fake, base);
	fakeredis_start(&fake);
	unit_capture(&capture);
	capturing = true;
	rc = redisconn_new(base, &fake.conf);
	unit_run_until(base, redisconn_ready(rc));
	return (0);
}

static int
tear_down(void **state)
{
	(void)state;
	if (capturing)
		logged();
	redisconn_free(rc);
	fakeredis_free(&fake);
	event_base_free(base);
	return (0);
}

#define NIL "$-1\r\n"
#define NILS(n) NILS_##n
#define NILS_6 NIL NIL NIL NIL NIL NIL
#define NILS_7 NILS_6 NIL
#define NILS_9 NILS_7 NIL NIL
#define HASH_BULK "$12\r\n" HASH "\r\n"
#define FIELDS_PLAIN "*9\r\n" HASH_BULK NILS_7 NIL
#define FIELDS_ACME "*9\r\n" HASH_BULK "$4\r\nacme\r\n" NILS_7
#define FIELDS_IP "*9\r\n" HASH_BULK NILS_6 "$9\r\n192.0.2.1\r\n" NIL
#define FIELDS_IP_ACME                                          \
	"*9\r\n" HASH_BULK "$4\r\nacme\r\n" NIL NIL NIL NIL NIL \
	"$9\r\n192.0.2.1\r\n" NIL
#define FIELDS_NONE "*9\r\n" NILS_9
#define FIELDS_BAD "*9\r\n" HASH_BULK NIL "$1\r\nx\r\n" NILS_6
#define EMPTY "*0\r\n"
#define ALICE "$5\r\nalice\r\n"
#define PRO "*2\r\n$3\r\npro\r\n" NIL
#define WRONGTYPE "-WRONGTYPE Operation against a key\r\n"

#define SCRIPT(...)                                                    \
	do {                                                           \
		static const char *const replies_[] = { __VA_ARGS__ }; \
		fakeredis_script(&fake, replies_,                      \
		    sizeof(replies_) / sizeof(replies_[0]));           \
	} while (0)

static struct user_query *
ask(const char *name)
{
	return (user_ask(rc, &fake.conf, name, 0, NULL, on_user, &called));
}

static struct user_query *
ask_address(const char *text)
{
	struct netaddr na;

	assert_true(netaddr_parse(text, &na));
	return (user_ask_address(rc, &fake.conf, &na, NULL, on_user, &called));
}

static void
wait_for(enum user_found want)
{
	int before = called;

	unit_run_until(base, called > before);
	assert_int_equal(called, before + 1);
	assert_int_equal(found, want);
}

static void
test_ask(void **state)
{
	static const char commands
	    [] = "HMGET smtp:user:{alice} password account mode status quota "
		 "quota_period rate ip_auth created\n"
		 "SRANDMEMBER smtp:user:{alice}:ips 65537\n";

	(void)state;
	SCRIPT(FIELDS_PLAIN, EMPTY);
	assert_non_null(ask("alice"));
	assert_int_equal(called, 0);
	wait_for(USER_OK);
	assert_string_equal(found_name, "alice");
	assert_true(found_any);
	assert_string_equal(fake.log, commands);
}

static void
test_ask_account(void **state)
{
	(void)state;
	SCRIPT(FIELDS_ACME, EMPTY, PRO);
	assert_non_null(ask("alice"));
	wait_for(USER_OK);
	assert_string_equal(found_account, "acme");
	assert_true(found_pro);
	assert_true(found_active);
	assert_contains(fake.log, "\nHMGET smtp:account:{acme} plan status\n");

	SCRIPT(FIELDS_ACME, EMPTY, "*2\r\n" NIL "$7\r\nblocked\r\n");
	assert_non_null(ask("alice"));
	wait_for(USER_OK);
	assert_false(found_active);
}

static void
test_ask_none(void **state)
{
	(void)state;
	SCRIPT(FIELDS_NONE, EMPTY, FIELDS_NONE, "*1\r\n$1\r\nx\r\n");
	assert_non_null(ask("nobody"));
	wait_for(USER_NONE);
	assert_non_null(ask("nobody"));
	wait_for(USER_NONE);
	assert_string_equal(logged(), "");
}

static int
lines(const char *text)
{
	int n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return (n);
}

/* Said with the key's name, and not each time that a session asks. */
static void
test_ask_bad(void **state)
{
	const char *text;

	(void)state;
	SCRIPT(FIELDS_BAD, EMPTY, FIELDS_BAD, EMPTY);
	assert_non_null(ask("bob"));
	wait_for(USER_BAD);
	assert_non_null(ask("bob"));
	wait_for(USER_BAD);
	text = logged();
	assert_string_equal(text, "unit: smtp:user:{bob}: bad record: mode\n");
	assert_lacks(text, HASH);
}

static void
test_ask_wrong_types(void **state)
{
	const char *text;

	(void)state;
	SCRIPT(WRONGTYPE, EMPTY,	   /* carol */
	    FIELDS_PLAIN, WRONGTYPE,	   /* dave */
	    WRONGTYPE, WRONGTYPE,	   /* erin */
	    FIELDS_ACME, EMPTY, WRONGTYPE, /* frank */
	    ":1\r\n", EMPTY,		   /* grace */
	    FIELDS_PLAIN, "$1\r\nx\r\n");  /* heidi */
	assert_non_null(ask("carol"));
	wait_for(USER_BAD);
	assert_non_null(ask("dave"));
	wait_for(USER_BAD);
	assert_non_null(ask("erin"));
	wait_for(USER_BAD);
	assert_non_null(ask("frank"));
	wait_for(USER_BAD);
	assert_non_null(ask("grace"));
	wait_for(USER_BAD);
	assert_non_null(ask("heidi"));
	wait_for(USER_BAD);
	assert_true(redisconn_ready(rc));
	text = logged();
	assert_contains(text, "smtp:user:{carol}: bad record: wrong type\n");
	assert_contains(text, "smtp:user:{frank}: bad record: wrong type\n");
	assert_contains(text, "smtp:user:{heidi}: bad record: ips: not");
	assert_int_equal(lines(text), 6);
}

/* What Redis cannot do now is nobody's bad record. */
static void
test_ask_errors(void **state)
{
	(void)state;
	SCRIPT("-LOADING Redis is loading\r\n", EMPTY, FIELDS_PLAIN,
	    "-LOADING Redis is loading\r\n",
	    "-MASTERDOWN Link with MASTER is down\r\n", EMPTY,
	    "-NOPERM no permissions\r\n", WRONGTYPE, FIELDS_BAD,
	    "-LOADING Redis is loading\r\n", FIELDS_ACME, EMPTY,
	    "-CLUSTERDOWN Hash slot\r\n", FIELDS_ACME, EMPTY,
	    "-MOVED 1 192.0.2.1:6379\r\n");
	assert_non_null(ask("ivan"));
	wait_for(USER_UNAVAILABLE);
	assert_non_null(ask("ivan"));
	wait_for(USER_UNAVAILABLE);
	assert_non_null(ask("ivan"));
	wait_for(USER_UNAVAILABLE);
	assert_non_null(ask("ivan"));
	wait_for(USER_UNAVAILABLE);
	assert_non_null(ask("ivan"));
	wait_for(USER_UNAVAILABLE);
	assert_non_null(ask("ivan"));
	wait_for(USER_UNAVAILABLE);
	assert_non_null(ask("ivan"));
	wait_for(USER_UNAVAILABLE);
	assert_lacks(logged(), "bad record");
}

static void
test_ask_address(void **state)
{
	(void)state;
	SCRIPT(ALICE, FIELDS_IP, EMPTY);
	assert_non_null(ask_address("::ffff:192.0.2.1"));
	wait_for(USER_OK);
	assert_string_equal(found_name, "alice");
	assert_int_equal(strncmp(fake.log,
			     "GET smtp:ip:{192.0.2.1}\n"
			     "HMGET smtp:user:{alice} ",
			     48),
	    0);

	SCRIPT("$5\r\nALICE\r\n", FIELDS_IP_ACME, EMPTY, PRO);
	assert_non_null(ask_address("192.0.2.1"));
	wait_for(USER_OK);
	assert_string_equal(found_name, "alice");
	assert_true(found_pro);

	SCRIPT(NIL);
	assert_non_null(ask_address("2001:DB8::0:1"));
	wait_for(USER_NONE);
	assert_string_equal(fake.log, "GET smtp:ip:{2001:db8::1}\n");
}

/* Named by the address, but not of it: half a change lets nobody in. */
static void
test_ask_address_half(void **state)
{
	(void)state;
	SCRIPT(ALICE, FIELDS_PLAIN, EMPTY, /* has no ip_auth */
	    ALICE, FIELDS_IP, EMPTY,	   /* has another */
	    ALICE, FIELDS_NONE, EMPTY,	   /* is gone */
	    "$0\r\n\r\n");		   /* the key is empty */
	assert_non_null(ask_address("192.0.2.1"));
	wait_for(USER_NONE);
	assert_non_null(ask_address("192.0.2.2"));
	wait_for(USER_NONE);
	assert_non_null(ask_address("192.0.2.1"));
	wait_for(USER_NONE);
	assert_non_null(ask_address("192.0.2.1"));
	wait_for(USER_NONE);
}

static void
test_ask_address_bad(void **state)
{
	const char *text;

	(void)state;
	SCRIPT("$3\r\na b\r\n", ":1\r\n", WRONGTYPE, "*0\r\n",
	    "-LOADING Redis is loading\r\n", ALICE, FIELDS_BAD, EMPTY);
	assert_non_null(ask_address("192.0.2.11"));
	wait_for(USER_BAD);
	assert_non_null(ask_address("192.0.2.12"));
	wait_for(USER_BAD);
	assert_non_null(ask_address("192.0.2.13"));
	wait_for(USER_BAD);
	assert_non_null(ask_address("192.0.2.14"));
	wait_for(USER_BAD);
	assert_non_null(ask_address("192.0.2.15"));
	wait_for(USER_UNAVAILABLE);
	assert_non_null(ask_address("192.0.2.16"));
	wait_for(USER_BAD);
	text = logged();
	assert_contains(text,
	    "smtp:ip:{192.0.2.11}: bad record: not the "
	    "name of a user\n");
	assert_contains(text,
	    "smtp:ip:{192.0.2.13}: bad record: wrong "
	    "type\n");
	assert_contains(text, "smtp:user:{alice}: bad record: mode\n");
}

/* A query whose first replies are there, and the next one under way. */
struct stage {
	bool	    by_address;
	size_t	    nreplies;
	const char *replies[4];
	size_t	    ncommands; /* asked by then */
};

static const struct stage stages[] = { { false, 0, { NULL }, 2 },
	{ false, 1, { FIELDS_ACME }, 2 }, { false, 1, { FIELDS_BAD }, 2 },
	{ false, 2, { FIELDS_ACME, EMPTY }, 3 }, { true, 0, { NULL }, 1 },
	{ true, 1, { ALICE }, 3 }, { true, 2, { ALICE, FIELDS_IP_ACME }, 3 },
	{ true, 3, { ALICE, FIELDS_IP_ACME, EMPTY }, 4 } };

#define NSTAGES (sizeof(stages) / sizeof(stages[0]))

static struct user_query *
reach(const struct stage *st)
{
	struct user_query *q;

	fakeredis_script(&fake, st->replies, st->nreplies);
	q = st->by_address ? ask_address("192.0.2.1") : ask("alice");
	assert_non_null(q);
	unit_run_until(base,
	    fake.ncommands == st->ncommands && fakeredis_heard(&fake));
	assert_int_equal(called, 0);
	return (q);
}

static void
test_cancel(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < NSTAGES; i++) {
		user_cancel(reach(&stages[i]));
		/* What it has asked is answered all the same. */
		for (j = stages[i].nreplies; j < stages[i].ncommands; j++)
			fakeredis_send(&fake, EMPTY, strlen(EMPTY));
		/* And what others ask is theirs. */
		SCRIPT(FIELDS_PLAIN, EMPTY);
		assert_non_null(ask("alice"));
		wait_for(USER_OK);
		called = 0;
	}
	assert_int_equal(fake.naccepted, 1);
}

static void
test_cancel_then_lost(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NSTAGES; i++) {
		user_cancel(reach(&stages[i]));
		fakeredis_hang_up(&fake);
		unit_run_until(base, !redisconn_ready(rc));
		unit_run_until(base, redisconn_ready(rc));
		assert_int_equal(called, 0);
	}
}

static void
test_lost(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NSTAGES; i++) {
		reach(&stages[i]);
		fakeredis_hang_up(&fake);
		wait_for(USER_UNAVAILABLE);
		unit_run_until(base, redisconn_ready(rc));
		assert_int_equal(called, 1);
		called = 0;
	}
}

static void
test_freed(void **state)
{
	struct user_query *q;
	size_t		   i;

	(void)state;
	for (i = 0; i < NSTAGES; i++) {
		q = reach(&stages[i]);
		user_cancel(q);
		redisconn_free(rc);
		rc = redisconn_new(base, &fake.conf);
		unit_run_until(base, redisconn_ready(rc));
		assert_int_equal(called, 0);
	}
}

static void
test_unavailable(void **state)
{
	(void)state;
	fakeredis_stop(&fake);
	unit_run_until(base, !redisconn_ready(rc));
	assert_null(ask("alice"));
	assert_null(ask_address("192.0.2.1"));
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(called, 0);
}

/* Many at once, each with its own answer. */
static void
test_together(void **state)
{
	static const char *replies[64];
	size_t		   i;

	(void)state;
	for (i = 0; i < 64; i += 2) {
		replies[i] = i % 4 ? FIELDS_NONE : FIELDS_PLAIN;
		replies[i + 1] = EMPTY;
	}
	fakeredis_script(&fake, replies, 64);
	for (i = 0; i < 32; i++)
		assert_non_null(ask("alice"));
	for (i = 0; i < 32; i++) {
		if (called == (int)i)
			unit_run_until(base, called > (int)i);
	}
	assert_int_equal(called, 32);
	assert_int_equal(found, USER_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define PARSE(f) cmocka_unit_test_setup_teardown(f, clear, clear)
#define ASK(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		PARSE(test_whole), PARSE(test_least),
		PARSE(test_none), PARSE(test_empty_fields), PARSE(test_values),
		PARSE(test_locked), PARSE(test_long), PARSE(test_nul_and_types),
		PARSE(test_not_a_hash), PARSE(test_sources),
		PARSE(test_not_a_set), PARSE(test_many_sources),
		PARSE(test_account_status), PARSE(test_plan),
		PARSE(test_bad_account), ASK(test_ask), ASK(test_ask_account),
		ASK(test_ask_none), ASK(test_ask_bad),
		ASK(test_ask_wrong_types), ASK(test_ask_errors),
		ASK(test_ask_address), ASK(test_ask_address_half),
		ASK(test_ask_address_bad), ASK(test_cancel),
		ASK(test_cancel_then_lost), ASK(test_lost), ASK(test_freed),
		ASK(test_unavailable), ASK(test_together)
	};

	return (cmocka_run_group_tests_name("user", tests, NULL, NULL));
}
