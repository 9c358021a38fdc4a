/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <bsd/string.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "domain.h"
#include "fakeredis.h"
#include "log.h"
#include "servers.h"
#include "resp.h"
#include "users.h"

#define HASH "$6$salt$hash"

static struct event_base    *base;
static struct fakeredis	     fake;
static struct servers	    *servers;
static struct users	    *users;
static struct unit_capture   capture;
static bool		     capturing;
static struct users_question question;
static struct netaddr	     address, source;
static struct domains	     domains;
static int		     called;
static enum users_found	     found;
static struct user	     user; /* the last that was found */

/* The commands of the next go, and what is replied to them. */
static char to_ask[65536], to_reply[65536];

static void
on_user(void *arg, enum users_found f, const struct user *u)
{
	assert_ptr_equal(arg, &called);
	called++;
	found = f;
	assert_int_equal(u != NULL, f == USER_OK);
	user_clear(&user);
	if (u != NULL)
		user = *u;
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
	to_ask[0] = to_reply[0] = '\0';
	memset(&question, 0, sizeof(question));
	memset(&domains, 0, sizeof(domains));
	base = event_base_new();
	fakeredis_init(&fake, base);
	fakeredis_start(&fake);
	unit_capture(&capture);
	capturing = true;
	servers = servers_new(base, &fake.conf);
	users = users_new(servers, &fake.conf);
	assert_non_null(users);
	unit_run_until(base, servers_ready(servers));
	fakeredis_script(&fake, NULL, 0);
	return (0);
}

static int
tear_down(void **state)
{
	(void)state;
	if (capturing)
		logged();
	users_free(users);
	servers_free(servers);
	fakeredis_free(&fake);
	event_base_free(base);
	return (0);
}

/* Has all that is learnt forgotten. */
static void
forget(void)
{
	users_free(users);
	users = users_new(servers, &fake.conf);
	assert_non_null(users);
}

static void
set_source(const char *text)
{
	memset(&source, 0, sizeof(source));
	if (text[0] != '\0')
		assert_true(netaddr_parse(text, &source));
	question.source = &source;
}

static void
set_address(const char *text)
{
	assert_true(netaddr_parse(text, &address));
	question.address = &address;
}

static struct users_query *
ask_question(void)
{
	return (users_ask(users, &question, on_user, &called));
}

/* Asks for a user as one may be, without a list of sources being looked at. */
static struct users_query *
ask(const char *name)
{
	question.name = name;
	return (ask_question());
}

static struct users_query *
ask_address(const char *text)
{
	question.name = NULL;
	set_address(text);
	return (ask_question());
}

static void
wait_for(enum users_found want)
{
	int before = called;

	unit_run_until(base, called > before);
	assert_int_equal(called, before + 1);
	assert_int_equal(found, want);
}

static int
lines(const char *text)
{
	int n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return (n);
}

/*
 * One go: these commands, no more, before any of them is answered; then all
 * of them are.
 */
static void
one_go(const char *commands, const char *replies)
{
	unit_run_until(base, fake.ncommands >= (size_t)lines(commands));
	assert_string_equal(fake.log, commands);
	fakeredis_script(&fake, NULL, 0);
	fakeredis_send(&fake, replies, strlen(replies));
}

/* The answer, for which nothing more was asked. */
static void
answered(enum users_found want)
{
	wait_for(want);
	unit_run_until(base, fakeredis_heard(&fake));
	assert_string_equal(fake.log, "");
}

/* Replies, and the commands that they are to. */

#define NIL "$-1\r\n"
#define BULK_HASH "$12\r\n" HASH "\r\n"
#define BULK_ACME "$4\r\nacme\r\n"
#define BULK_ADDRESS "$9\r\n192.0.2.1\r\n"
/* All but the first seven fields of a user. */
#define REST NIL NIL NIL NIL NIL NIL NIL NIL NIL
#define PLAIN "*16\r\n" BULK_HASH NIL NIL NIL NIL NIL NIL REST
#define OF(account) "*16\r\n" BULK_HASH account NIL NIL NIL NIL NIL REST
#define ACME OF(BULK_ACME)
#define OF_IP "*16\r\n" BULK_HASH NIL NIL NIL NIL NIL BULK_ADDRESS REST
#define OF_IP_ACME \
	"*16\r\n" BULK_HASH BULK_ACME NIL NIL NIL NIL BULK_ADDRESS REST
#define NOBODY "*16\r\n" NIL NIL NIL NIL NIL NIL NIL REST
#define BAD "*16\r\n" BULK_HASH NIL "$1\r\nx\r\n" NIL NIL NIL NIL REST
#define LIMITED "*16\r\n" BULK_HASH NIL NIL NIL "$1\r\n9\r\n" NIL NIL REST
#define EMPTY "*0\r\n"
#define ALICE "$5\r\nalice\r\n"
#define BOB "$3\r\nbob\r\n"
#define PRO "*10\r\n$-1\r\n$3\r\npro\r\n" NIL NIL NIL NIL NIL NIL NIL NIL
#define LIMITED_ACCOUNT \
	"*10\r\n$-1\r\n" NIL NIL NIL NIL NIL NIL "$1\r\n9\r\n" NIL NIL
#define NO_ACCOUNT "*10\r\n$-1\r\n" NIL NIL NIL NIL NIL NIL NIL NIL NIL
#define BLOCKED \
	"*10\r\n$-1\r\n" NIL "$7\r\nblocked\r\n" NIL NIL NIL NIL NIL NIL NIL
#define BRIEF(account, status) "*3\r\n" BULK_HASH account status
#define BULK_BLOCKED "$7\r\nblocked\r\n"
#define LOGIN(account, status, until) \
	"*6\r\n" BULK_HASH account status NIL NIL until
#define PRO_BRIEF "*3\r\n$3\r\npro\r\n" NIL NIL
#define WRONGTYPE "-WRONGTYPE Operation against a key\r\n"
#define LOADING "-LOADING Redis is loading\r\n"

#define HMGET(name)                                                      \
	"HMGET smtp:user:{" name "} password account mode status quota " \
	"rate ip_auth created restricted over max_recipients max_size "  \
	"sender_quota sender_rate alarms blocked_until\n"
#define HMGET_LOGIN(name)                                     \
	"HMGET smtp:user:{" name "} password account status " \
	"ip_auth restricted blocked_until\n"
#define HMGET_BRIEF(name) "HMGET smtp:user:{" name "} password account status\n"
#define LIST(name) "SRANDMEMBER smtp:user:{" name "}:ips 65\n"
#define COUNT(name) "SCARD smtp:user:{" name "}:ips\n"
#define NONE_LISTED(name) "SMISMEMBER smtp:user:{" name "}:ips \n"
#define ASSIGNED(name)                                       \
	"SMISMEMBER smtp:user:{" name "}:domains a.example " \
	"b.example\n"
#define ACCOUNT(name)               \
	"HMGET smtp:account:{" name \
	"} alarms plan status user_prefix over max_recipients max_size quota quota_period rate\n"
#define ACCOUNT_BRIEF(name) \
	"HMGET smtp:account:{" name "} plan status user_prefix\n"
#define VERIFIED(name) \
	"SMISMEMBER smtp:account:{" name "}:domains a.example b.example\n"

#define SCRIPT(...)                                                    \
	do {                                                           \
		static const char *const replies_[] = { __VA_ARGS__ }; \
		fakeredis_script(&fake, replies_,                      \
		    sizeof(replies_) / sizeof(replies_[0]));           \
	} while (0)

static void
ask_domains(void)
{
	domains_add(&domains, "a.example", NULL, 0);
	domains_add(&domains, "b.example", NULL, 0);
	question.domains = &domains;
}

static void
test_record_alone(void **state)
{
	(void)state;
	assert_non_null(ask("alice"));
	assert_int_equal(called, 0);
	one_go(HMGET("alice"), PLAIN);
	answered(USER_OK);
	assert_string_equal(user.name, "alice");
	assert_string_equal(user.password, HASH);
	assert_int_equal(user.source, SOURCE_UNASKED);
	assert_false(user_source_allowed(&user));
}

/* All that a decision needs, the account guessed from the answer before. */
static void
test_all(void **state)
{
	size_t i;

	(void)state;
	set_source("192.0.2.1");
	ask_domains();
	assert_non_null(ask("alice"));
	one_go(HMGET("alice") LIST("alice") ASSIGNED("alice"),
	    ACME "*2\r\n" BULK_ADDRESS "$1\r\nx\r\n"
		 "*2\r\n:1\r\n:0\r\n");
	one_go(ACCOUNT("acme") VERIFIED("acme"), PRO "*2\r\n:0\r\n:1\r\n");
	answered(USER_OK);
	for (i = 0; i < 2; i++) {
		assert_string_equal(user.account, "acme");
		assert_true(user.pro);
		assert_int_equal(user.source, SOURCE_LISTED);
		assert_int_equal(user.assigned, 1);
		assert_int_equal(user.in_account, 2);
		if (i == 1)
			return;
		assert_non_null(ask("alice"));
		one_go(HMGET("alice") LIST("alice") ASSIGNED("alice")
			   ACCOUNT("acme") VERIFIED("acme"),
		    ACME "*1\r\n" BULK_ADDRESS "*2\r\n:1\r\n:0\r\n" PRO
			 "*2\r\n:0\r\n:1\r\n");
		answered(USER_OK);
	}
}

#define SUPPRESSED(of) "ZCARD smtp:" of ":suppressed\n"

/* Whether there are recipients that get no mail, of the user and the account. */
static void
test_suppresses(void **state)
{
	static const struct {
		const char	*user, *account;
		bool		 suppresses, account_suppresses;
		enum users_found found;
	} rows[] = { { ":0\r\n", ":0\r\n", false, false, USER_OK },
		{ ":1\r\n", ":0\r\n", true, false, USER_OK },
		{ ":0\r\n", ":7\r\n", false, true, USER_OK },
		{ WRONGTYPE, ":0\r\n", false, false, USER_BAD },
		{ ":0\r\n", WRONGTYPE, false, false, USER_BAD },
		{ "+OK\r\n", ":0\r\n", false, false, USER_BAD },
		{ ":0\r\n", "*0\r\n", false, false, USER_BAD },
		{ LOADING, ":0\r\n", false, false, USER_UNAVAILABLE } };
	char   replies[512];
	size_t i;

	(void)state;
	question.suppresses = true;
	assert_non_null(ask("alice"));
	one_go(HMGET("alice") SUPPRESSED("user:{alice}"), ACME ":0\r\n");
	one_go(ACCOUNT("acme") SUPPRESSED("account:{acme}"), PRO ":0\r\n");
	answered(USER_OK);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(replies, sizeof(replies), ACME "%s" PRO "%s",
		    rows[i].user, rows[i].account);
		assert_non_null(ask("alice"));
		one_go(HMGET("alice") SUPPRESSED("user:{alice}") ACCOUNT("acme")
			   SUPPRESSED("account:{acme}"),
		    replies);
		answered(rows[i].found);
		if (rows[i].found != USER_OK)
			continue;
		assert_int_equal(user.suppresses, rows[i].suppresses);
		assert_int_equal(user.account_suppresses,
		    rows[i].account_suppresses);
	}
}

#define BY_ADDRESS                                              \
	"SMISMEMBER smtp:user:{alice}:domains a.example "       \
	"b.example bob@a.example bob@b.example eve@b.example\n" \
	"SSCAN smtp:user:{alice}:domains 0 MATCH *@b.example COUNT 1000\n"
#define SCANNED "*2\r\n$1\r\n7\r\n*1\r\n$13\r\nbob@b.example\r\n"
#define SCANNED_NONE "*2\r\n$1\r\n0\r\n*0\r\n"

/*
 * A domain is the user's, too, where each of its addresses is: those of which
 * anybody may be the author are not.
 */
static void
test_assigned_addresses(void **state)
{
	static const struct {
		const char  bits[6]; /* of a, b, bob@a, bob@b, eve@b */
		const char *scanned;
		uint32_t    unnamed, assigned;
	} rows[] = { { "00000", SCANNED_NONE, 0, 0 },
		{ "00110", SCANNED, 0, 1 }, { "00011", SCANNED, 0, 2 },
		{ "00111", SCANNED, 0, 3 }, { "01100", SCANNED_NONE, 0, 3 },
		{ "00111", SCANNED, 1, 2 }, { "00111", SCANNED, 2, 1 },
		{ "10011", SCANNED, 3, 1 } };
	char   bits[64], replies[512];
	size_t i, k, at;

	(void)state;
	domains_add(&domains, "a.example", "bob", 3);
	domains_add(&domains, "b.example", "bob", 3);
	domains_add(&domains, "b.example", "eve", 3);
	question.domains = &domains;
	question.addresses = "b.example";
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		domains.unnamed = rows[i].unnamed;
		for (k = 0, at = 0; k < 5; k++)
			at += (size_t)snprintf(bits + at, sizeof(bits) - at,
			    ":%c\r\n", rows[i].bits[k]);
		snprintf(replies, sizeof(replies), PLAIN "*5\r\n%s%s", bits,
		    rows[i].scanned);
		assert_non_null(ask("alice"));
		one_go(HMGET("alice") BY_ADDRESS, replies);
		answered(USER_OK);
		assert_int_equal(user.assigned, rows[i].assigned);
		assert_int_equal(user.addresses,
		    strcmp(rows[i].scanned, SCANNED) == 0);
	}
	/* The account has no addresses. */
	snprintf(replies, sizeof(replies), ACME "*5\r\n%s" SCANNED, bits);
	assert_non_null(ask("alice"));
	one_go(HMGET("alice") BY_ADDRESS, replies);
	one_go(ACCOUNT("acme") VERIFIED("acme"), PRO "*2\r\n:0\r\n:1\r\n");
	answered(USER_OK);
	assert_int_equal(user.in_account, 2);
}

/* Of the user's status and the account's, the worse counts. */
static void
test_account_status(void **state)
{
	static const char *const      texts[] = { "allowed", "sandboxed",
		     "blocked" };
	static const enum user_status status[] = { STATUS_ALLOWED,
		STATUS_SANDBOXED, STATUS_BLOCKED };
	const char		     *fields[USER_FIELDS] = { HASH, "acme" };
	const char *account[USER_ACCOUNT_FIELDS] = { NULL, "basic" };
	char	    replies[512];
	size_t	    i, j;

	(void)state;
	SCRIPT(ACME, PRO);
	assert_non_null(ask("alice"));
	wait_for(USER_OK);
	for (i = 0; i < 3; i++)
		for (j = 0; j < 3; j++) {
			fields[3] = texts[i];
			account[2] = texts[j];
			snprintf(replies, sizeof(replies), "%s%s",
			    resp_array(fields, USER_FIELDS),
			    resp_array(account, USER_ACCOUNT_FIELDS));
			fakeredis_script(&fake, NULL, 0);
			assert_non_null(ask("alice"));
			one_go(HMGET("alice") ACCOUNT("acme"), replies);
			answered(USER_OK);
			assert_int_equal(user.status, status[i > j ? i : j]);
			assert_int_equal(user_active(&user), i < 2 && j < 2);
		}
}

/* A guess that turns out wrong leaves nothing of this behind. */
static void
test_no_account(void **state)
{
	(void)state;
	SCRIPT(ACME, NO_ACCOUNT);
	assert_non_null(ask("alice"));
	wait_for(USER_OK);
	assert_false(user_active(&user));
	assert_true(user.no_account);
	fakeredis_script(&fake, NULL, 0);
	assert_non_null(ask("alice"));
	one_go(HMGET("alice") ACCOUNT("acme"), PLAIN NO_ACCOUNT);
	answered(USER_OK);
	assert_true(user_active(&user));
	assert_false(user.no_account);
}

/* The bits of a user who has no account are not those of the one guessed. */
static void
test_account_left(void **state)
{
	(void)state;
	ask_domains();
	SCRIPT(ACME, "*2\r\n:0\r\n:0\r\n", PRO, "*2\r\n:1\r\n:1\r\n");
	assert_non_null(ask("alice"));
	wait_for(USER_OK);
	assert_int_equal(user.in_account, 3);
	fakeredis_script(&fake, NULL, 0);
	assert_non_null(ask("alice"));
	one_go(HMGET("alice") ASSIGNED("alice") ACCOUNT("acme")
		   VERIFIED("acme"),
	    PLAIN "*2\r\n:0\r\n:0\r\n*2\r\n$3\r\npro\r\n$7\r\nblocked\r\n"
		  "*2\r\n:1\r\n:1\r\n");
	answered(USER_OK);
	assert_false(user.pro);
	assert_true(user_active(&user));
	assert_int_equal(user.in_account, 0);
	/* And it is not asked about any more. */
	assert_non_null(ask("alice"));
	one_go(HMGET("alice") ASSIGNED("alice"), PLAIN "*2\r\n:0\r\n:0\r\n");
	answered(USER_OK);
}

/*
 * Every guess, right and wrong.  What there is at one time, and what there is
 * at the next: by whom the address is owned, in which account the user is, how
 * long the list is.
 */

struct world {
	const char *owner;
	const char *account;
	size_t	    nlist;
	bool	    listed;
};

static const char *const owners[] = { "alice", "bob" };
static const char *const accounts[] = { NULL, "acme", "widgets" };
static const size_t	 lengths[] = { 0, 1, 64, 65 };

#define NWORLDS (2 * 3 * 4 * 2)

static struct world
world_of(size_t i)
{
	struct world w;

	w.listed = i % 2 == 1;
	w.nlist = lengths[i / 2 % 4];
	w.account = accounts[i / 8 % 3];
	w.owner = owners[i / 24];
	return (w);
}

static void
expect(const char *command, const char *reply)
{
	strlcat(to_ask, command, sizeof(to_ask));
	strlcat(to_reply, reply, sizeof(to_reply));
}

static void
go(void)
{
	one_go(to_ask, to_reply);
	to_ask[0] = to_reply[0] = '\0';
}

/* All prefixes of the source, the longest first. */
static const char *
prefixes(const char *name)
{
	static char    text[16384];
	char	       addr[NETADDR_TEXT], range[NETADDR_TEXT + 12];
	char	       canonical[NETADDR_TEXT];
	struct netaddr na;
	int	       bits;

	snprintf(text, sizeof(text), "SMISMEMBER smtp:user:{%s}:ips", name);
	netaddr_text(&source, addr);
	for (bits = source.len * 8; bits >= 0; bits--) {
		snprintf(range, sizeof(range), "%s/%d", addr, bits);
		assert_true(netaddr_parse_range(range, &na));
		strlcat(text, " ", sizeof(text));
		strlcat(text, netaddr_text(&na, canonical), sizeof(text));
	}
	strlcat(text, "\n", sizeof(text));
	return (text);
}

/* n bits, of which one is set, or none. */
static const char *
bits(size_t n, size_t set)
{
	static char text[1024];
	size_t	    len, i;

	len = (size_t)snprintf(text, sizeof(text), "*%zu\r\n", n);
	for (i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    ":%d\r\n", i == set);
	return (text);
}

#define UNSET SIZE_MAX

static void
expect_owner(const struct world *w)
{
	expect("GET smtp:ip:{192.0.2.1}\n", resp_string(w->owner));
}

/* The other user is there, with nothing that matters. */
static void
expect_record(const struct world *w, const char *name)
{
	const char *fields[USER_FIELDS] = { HASH, w->account, NULL, NULL, NULL,
		NULL, "192.0.2.1" };
	const char *other[USER_FIELDS] = { HASH };
	bool	    is_owner = strcmp(name, w->owner) == 0;
	char	    command[256];

	snprintf(command, sizeof(command),
	    "HMGET smtp:user:{%s} password account mode status quota "
	    "rate ip_auth created restricted over max_recipients max_size "
	    "sender_quota sender_rate alarms blocked_until\n",
	    name);
	expect(command, resp_array(is_owner ? fields : other, USER_FIELDS));
}

static void
expect_list(const struct world *w, const char *name)
{
	char	    text[USER_SHORT_LIST + 1][40], command[128];
	const char *list[USER_SHORT_LIST + 1] = { NULL };
	size_t	    i;

	for (i = 0; i < w->nlist; i++) {
		snprintf(text[i], sizeof(text[i]), "10.0.%zu.0/24", i);
		list[i] = text[i];
	}
	if (w->listed && w->nlist > 0)
		list[w->nlist / 2] = "192.0.0.0/16";
	snprintf(command, sizeof(command),
	    "SRANDMEMBER smtp:user:{%s}:ips 65\n", name);
	expect(command, resp_array(list, w->nlist));
}

static void
expect_prefixes(const struct world *w, const char *name)
{
	char command[128], count[32];

	snprintf(command, sizeof(command), "SCARD smtp:user:{%s}:ips\n", name);
	snprintf(count, sizeof(count), ":%zu\r\n", w->nlist);
	expect(command, count);
	expect(prefixes(name), bits(33, w->listed ? 16 : UNSET));
}

static void
expect_account(const char *name)
{
	const char *fields[USER_ACCOUNT_FIELDS] = { NULL, "free" };
	char	    command[128];

	if (strcmp(name, "acme") == 0)
		fields[1] = "pro";
	snprintf(command, sizeof(command),
	    "HMGET smtp:account:{%s} alarms plan status user_prefix over max_recipients max_size quota quota_period rate\n",
	    name);
	expect(command, resp_array(fields, USER_ACCOUNT_FIELDS));
	snprintf(command, sizeof(command),
	    "SMISMEMBER smtp:account:{%s}:domains a.example b.example\n", name);
	expect(command, bits(2, strcmp(name, "acme") == 0 ? 0 : 1));
}

/* What is asked about a user, with what was the case before. */
static void
expect_user(const struct world *w, const char *name, const struct world *before)
{
	char command[128];

	expect_record(w, name);
	if (before != NULL && before->nlist > USER_SHORT_LIST)
		expect_prefixes(w, name);
	else
		expect_list(w, name);
	snprintf(command, sizeof(command),
	    "SMISMEMBER smtp:user:{%s}:domains a.example b.example\n", name);
	expect(command, bits(2, 1));
	if (before != NULL && before->account != NULL)
		expect_account(before->account);
}

/* What turned out to be otherwise. */
static void
expect_rest(const struct world *w, const struct world *before)
{
	bool was_long = before != NULL && before->nlist > USER_SHORT_LIST;
	bool is_long = w->nlist > USER_SHORT_LIST;

	if (w->account != NULL &&
	    (before == NULL || before->account == NULL ||
		strcmp(before->account, w->account) != 0))
		expect_account(w->account);
	if (is_long && !was_long)
		expect_prefixes(w, w->owner);
	if (!is_long && was_long)
		expect_list(w, w->owner);
}

static void
check_found(const struct world *w)
{
	bool acme = w->account != NULL && strcmp(w->account, "acme") == 0;
	bool any = w->account != NULL;

	assert_string_equal(user.name, w->owner);
	assert_string_equal(user.account, any ? w->account : "");
	assert_int_equal(user.pro, acme);
	assert_int_equal(user.assigned, 2);
	assert_int_equal(user.in_account, !any ? 0 : acme ? 1 : 2);
	assert_int_equal(user.source,
	    w->nlist == 0   ? SOURCE_ANY
		: w->listed ? SOURCE_LISTED
			    : SOURCE_UNLISTED);
}

/* Asks in one world, with what is remembered of another, or of none. */
static void
check_world(const struct world *w, const struct world *before, bool by_address)
{
	const struct world *same = before;

	if (before != NULL && strcmp(before->owner, w->owner) != 0)
		same = NULL;
	fakeredis_script(&fake, NULL, 0);
	question.name = by_address ? NULL : w->owner;
	assert_non_null(ask_question());
	if (by_address)
		expect_owner(w);
	if (by_address && before != NULL)
		expect_user(w, before->owner, before);
	if (by_address && same == NULL)
		go();
	if (!by_address || same == NULL)
		expect_user(w, w->owner, same);
	go();
	expect_rest(w, same);
	if (to_ask[0] != '\0')
		go();
	answered(USER_OK);
	check_found(w);
}

static void
test_guesses(void **state)
{
	struct world before, now;
	size_t	     i, j, by_address;

	(void)state;
	set_source("192.0.2.1");
	set_address("192.0.2.1");
	ask_domains();
	for (i = 0; i < NWORLDS; i++)
		for (j = 0; j < NWORLDS; j++)
			for (by_address = 0; by_address < 2; by_address++) {
				before = world_of(i);
				now = world_of(j);
				forget();
				check_world(&before, NULL, by_address);
				check_world(&now, &before, by_address);
				/* All of it is known by now. */
				check_world(&now, &now, by_address);
			}
}

/* The list was read when it was known to be short, and has grown. */
static void
test_list_grows(void **state)
{
	const struct world w = { "alice", NULL, 65, true };

	(void)state;
	set_source("192.0.2.1");
	assert_non_null(ask("alice"));
	expect_record(&w, "alice");
	expect_list(&w, "alice");
	go();
	expect_prefixes(&w, "alice");
	go();
	answered(USER_OK);
	assert_int_equal(user.source, SOURCE_LISTED);
}

/* A list that is long and short by turns, each time that it is looked at. */
static void
test_list_wavers(void **state)
{
	const struct world long_one = { "alice", NULL, 65, true };
	const struct world short_one = { "alice", NULL, 1, false };
	const struct world longer = { "alice", NULL, 66, false };
	const struct world none = { "alice", NULL, 0, true };
	int		   i;

	(void)state;
	set_source("192.0.2.1");
	assert_non_null(ask("alice"));
	expect_record(&long_one, "alice");
	for (i = 0; i < 3; i++) {
		expect_list(&long_one, "alice");
		go();
		/* Which does not count, the list having become short. */
		expect_prefixes(&none, "alice");
		go();
	}
	expect_list(&long_one, "alice");
	go();
	expect_prefixes(&longer, "alice");
	go();
	answered(USER_OK);
	assert_int_equal(user.source, SOURCE_UNLISTED);
	/* Guessed to be long from now on. */
	assert_non_null(ask("alice"));
	expect_record(&short_one, "alice");
	expect_prefixes(&none, "alice");
	go();
	expect_list(&short_one, "alice");
	go();
	answered(USER_OK);
	assert_int_equal(user.source, SOURCE_UNLISTED);
}

/* What is asked of a long list: each prefix of IPv4, and of IPv6. */
static void
test_prefixes(void **state)
{
	static const char *const sources[] = { "192.0.2.1", "2001:db8::1" };
	static const size_t	 n[] = { 33, 129 };
	static const char *const some[] = { " 192.0.2.1 192.0.2.0/31 "
					    "192.0.2.0/30 ",
		":ips 2001:db8::1 2001:db8::/127 2001:db8::/126 " };
	static const char *const last[] = { " 128.0.0.0/1 0.0.0.0/0\n",
		" 2000::/3 ::/2 ::/1 ::/0\n" };
	char			 text[16384], reply[2048];
	size_t			 i, k;

	(void)state;
	for (i = 0; i < 2; i++) {
		set_source(sources[i]);
		forget();
		/* Makes the list known to be long. */
		assert_non_null(ask("alice"));
		expect(HMGET("alice"), PLAIN);
		expect_list(&(struct world){ "alice", NULL, 65, false },
		    "alice");
		go();
		snprintf(text, sizeof(text), COUNT("alice") "%s",
		    prefixes("alice"));
		assert_contains(text, some[i]);
		assert_contains(text, last[i]);
		snprintf(reply, sizeof(reply), ":65\r\n%s", bits(n[i], UNSET));
		one_go(text, reply);
		answered(USER_OK);
		assert_int_equal(user.source, SOURCE_UNLISTED);
		/* Each of them counts. */
		snprintf(text, sizeof(text), HMGET("alice") COUNT("alice") "%s",
		    prefixes("alice"));
		for (k = 0; k < n[i]; k++) {
			assert_non_null(ask("alice"));
			snprintf(reply, sizeof(reply), PLAIN ":1000000\r\n%s",
			    bits(n[i], k));
			one_go(text, reply);
			answered(USER_OK);
			assert_int_equal(user.source, SOURCE_LISTED);
		}
	}
}

/* A source that is none is in no list, not even one that holds "". */
static void
test_no_source(void **state)
{
	const struct world long_one = { "alice", NULL, 65, false };

	(void)state;
	set_source("");
	assert_non_null(ask("alice"));
	one_go(HMGET("alice") LIST("alice"), PLAIN "*1\r\n$0\r\n\r\n");
	answered(USER_OK);
	assert_int_equal(user.source, SOURCE_UNLISTED);
	assert_non_null(ask("alice"));
	expect_record(&long_one, "alice");
	expect_list(&long_one, "alice");
	go();
	one_go(COUNT("alice") NONE_LISTED("alice"), ":65\r\n*1\r\n:1\r\n");
	answered(USER_OK);
	assert_int_equal(user.source, SOURCE_UNLISTED);
	assert_non_null(ask("alice"));
	one_go(HMGET("alice") COUNT("alice") NONE_LISTED("alice"),
	    PLAIN ":65\r\n*1\r\n:1\r\n");
	answered(USER_OK);
	assert_int_equal(user.source, SOURCE_UNLISTED);
	/* Where there is no list, everybody may come. */
	assert_non_null(ask("alice"));
	one_go(HMGET("alice") COUNT("alice") NONE_LISTED("alice"),
	    PLAIN ":0\r\n*1\r\n:0\r\n");
	one_go(LIST("alice"), EMPTY);
	answered(USER_OK);
	assert_int_equal(user.source, SOURCE_ANY);
}

/* Nobody's address, whatever a key without one names, and who has no ip_auth. */
static void
test_no_address(void **state)
{
	(void)state;
	memset(&address, 0, sizeof(address));
	question.address = &address;
	SCRIPT(ALICE, PLAIN);
	assert_non_null(ask_question());
	wait_for(USER_NONE);
	assert_string_equal(fake.log, "GET smtp:ip:{}\n" HMGET("alice"));
}

static void
test_none(void **state)
{
	(void)state;
	set_source("192.0.2.1");
	SCRIPT(NOBODY, EMPTY, NOBODY, "*1\r\n$1\r\nx\r\n");
	assert_non_null(ask("nobody"));
	wait_for(USER_NONE);
	assert_non_null(ask("nobody"));
	wait_for(USER_NONE);
	assert_string_equal(logged(), "");
}

/* Deleted, and of an account once: nothing more is asked. */
static void
test_gone(void **state)
{
	(void)state;
	SCRIPT(ACME, PRO);
	assert_non_null(ask("alice"));
	wait_for(USER_OK);
	fakeredis_script(&fake, NULL, 0);
	assert_non_null(ask("alice"));
	one_go(HMGET("alice") ACCOUNT("acme"), NOBODY WRONGTYPE);
	answered(USER_NONE);
	assert_string_equal(logged(), "");
}

/* What follows in the log. */
#define ADVICE                                             \
	"; what needs it is deferred until it is mended: " \
	"type smtpusers check\n"

/* Said with the key's name, and not each time that a session asks. */
static void
test_bad(void **state)
{
	const char *text;

	(void)state;
	set_source("192.0.2.1");
	SCRIPT(BAD, EMPTY, BAD, EMPTY);
	assert_non_null(ask("bob"));
	wait_for(USER_BAD);
	assert_non_null(ask("bob"));
	wait_for(USER_BAD);
	text = logged();
	assert_string_equal(text,
	    "unit: smtp:user:{bob}: bad record: mode" ADVICE);
	assert_lacks(text, HASH);
}

/* Each part of an answer, when it is not what it should be. */
struct bad_part {
	const char *name; /* of a user of its own */
	const char *replies[6];
	const char *key; /* that is named */
	const char *words;
};

static const struct bad_part bad_parts[] = {
	{ "a1", { WRONGTYPE, EMPTY, "*2\r\n:0\r\n:0\r\n" }, "user:{a1}",
	    "wrong type" },
	{ "a2", { ":1\r\n", EMPTY, "*2\r\n:0\r\n:0\r\n" }, "user:{a2}",
	    "not a hash" },
	{ "a3", { PLAIN, WRONGTYPE, "*2\r\n:0\r\n:0\r\n" }, "user:{a3}:ips",
	    "wrong type" },
	{ "a4", { PLAIN, "$1\r\nx\r\n", "*2\r\n:0\r\n:0\r\n" }, "user:{a4}:ips",
	    "not a set" },
	{ "a5", { PLAIN, NIL, "*2\r\n:0\r\n:0\r\n" }, "user:{a5}:ips",
	    "not a set" },
	{ "a6", { PLAIN, EMPTY, WRONGTYPE }, "user:{a6}:domains",
	    "wrong type" },
	{ "a7", { PLAIN, EMPTY, "*1\r\n:1\r\n" }, "user:{a7}:domains",
	    "not a set" },
	{ "a8", { PLAIN, EMPTY, "*3\r\n:1\r\n:1\r\n:1\r\n" },
	    "user:{a8}:domains", "not a set" },
	{ "a9", { PLAIN, EMPTY, ":1\r\n" }, "user:{a9}:domains", "not a set" },
	{ "b1",
	    { OF("$2\r\nb1\r\n"), EMPTY, "*2\r\n:0\r\n:0\r\n", WRONGTYPE,
		EMPTY },
	    "account:{b1}", "wrong type" },
	{ "b2",
	    { OF("$2\r\nb2\r\n"), EMPTY, "*2\r\n:0\r\n:0\r\n", ":1\r\n",
		"*2\r\n:0\r\n:0\r\n" },
	    "account:{b2}", "not a hash" },
	{ "b3",
	    { OF("$2\r\nb3\r\n"), EMPTY, "*2\r\n:0\r\n:0\r\n",
		"*10\r\n$-1\r\n" NIL "$1\r\nx\r\n" NIL NIL NIL NIL NIL NIL NIL,
		"*2\r\n:0\r\n:0\r\n" },
	    "account:{b3}", "status" },
	{ "b4",
	    { OF("$2\r\nb4\r\n"), EMPTY, "*2\r\n:0\r\n:0\r\n", PRO, WRONGTYPE },
	    "account:{b4}:domains", "wrong type" },
	{ "b5",
	    { OF("$2\r\nb5\r\n"), EMPTY, "*2\r\n:0\r\n:0\r\n", PRO, "*0\r\n" },
	    "account:{b5}:domains", "not a set" },
	{ "b6", { WRONGTYPE, WRONGTYPE, WRONGTYPE }, "user:{b6}",
	    "wrong type" },
};

#define NBAD (sizeof(bad_parts) / sizeof(bad_parts[0]))

static void
test_bad_parts(void **state)
{
	const char *text;
	char	    words[256];
	size_t	    i, n;

	(void)state;
	set_source("192.0.2.1");
	ask_domains();
	for (i = 0; i < NBAD; i++) {
		for (n = 0; bad_parts[i].replies[n] != NULL; n++)
			continue;
		fakeredis_script(&fake, bad_parts[i].replies, n);
		assert_non_null(ask(bad_parts[i].name));
		wait_for(USER_BAD);
		assert_int_equal(fake.ncommands, n);
	}
	assert_true(servers_ready(servers));
	text = logged();
	for (i = 0; i < NBAD; i++) {
		snprintf(words, sizeof(words),
		    "unit: smtp:%s: bad record: %s" ADVICE, bad_parts[i].key,
		    bad_parts[i].words);
		assert_contains(text, words);
	}
	assert_int_equal(lines(text), NBAD);
}

/* The same where the list is long, and the account guessed. */
static void
test_bad_guessed(void **state)
{
	static const struct {
		const char *replies;
		bool	    bad;
	} cases[] = { { ACME ":65\r\n" WRONGTYPE PRO, true },
		{ ACME ":65\r\n:1\r\n" PRO, true },
		{ ACME WRONGTYPE "*1\r\n:0\r\n" PRO, true },
		{ ACME NIL "*1\r\n:0\r\n" PRO, true },
		{ ACME ":65\r\n*1\r\n:0\r\n" WRONGTYPE, true },
		{ ACME ":65\r\n*1\r\n:0\r\n:1\r\n", true },
		{ ACME ":65\r\n*1\r\n:0\r\n" BLOCKED, false },
		{ ACME ":65\r\n*1\r\n" NIL PRO, false },
		/* That account is not the user's any more. */
		{ PLAIN ":65\r\n*1\r\n:0\r\n" WRONGTYPE, false },
		{ PLAIN ":65\r\n*1\r\n:0\r\n:1\r\n", false },
		{ PLAIN ":65\r\n*1\r\n:0\r\n*3\r\n" NIL "$1\r\nx\r\n" NIL,
		    false } };
	const struct world long_one = { "alice", "acme", 65, false };
	size_t		   i;

	(void)state;
	set_source("");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		forget();
		assert_non_null(ask("alice"));
		expect_record(&long_one, "alice");
		expect_list(&long_one, "alice");
		go();
		one_go(ACCOUNT("acme") COUNT("alice") NONE_LISTED("alice"),
		    PRO ":65\r\n*1\r\n:0\r\n");
		answered(USER_OK);
		assert_int_equal(user.source, SOURCE_UNLISTED);
		assert_non_null(ask("alice"));
		one_go(HMGET("alice") COUNT("alice") NONE_LISTED("alice")
			   ACCOUNT("acme"),
		    cases[i].replies);
		answered(cases[i].bad ? USER_BAD : USER_OK);
		assert_false(user_source_allowed(&user));
	}
}

/* From an account that is bad into one that is not, and back. */
static void
test_bad_account_left(void **state)
{
	(void)state;
	SCRIPT(ACME, PRO);
	assert_non_null(ask("alice"));
	wait_for(USER_OK);
	fakeredis_script(&fake, NULL, 0);
	assert_non_null(ask("alice"));
	one_go(HMGET("alice") ACCOUNT("acme"), OF("$3\r\nbig\r\n") WRONGTYPE);
	one_go(ACCOUNT("big"), PRO);
	answered(USER_OK);
	assert_true(user.pro);
	assert_non_null(ask("alice"));
	one_go(HMGET("alice") ACCOUNT("big"), ACME PRO);
	one_go(ACCOUNT("acme"), WRONGTYPE);
	answered(USER_BAD);
}

/* What Redis cannot do now is nobody's bad record. */
static void
test_errors(void **state)
{
	static const struct {
		const char *commands;
		const char *replies;
		const char *more;
	} cases[] = { { HMGET("ivan") LIST("ivan"), LOADING EMPTY, NULL },
		{ HMGET("ivan") LIST("ivan"), PLAIN LOADING, NULL },
		{ HMGET("ivan") LIST("ivan"),
		    "-NOPERM no permissions\r\n" WRONGTYPE, NULL },
		{ HMGET("ivan") LIST("ivan"), BAD LOADING, NULL },
		{ HMGET("ivan") LIST("ivan"), WRONGTYPE LOADING, NULL },
		{ HMGET("ivan") LIST("ivan"), ACME EMPTY,
		    "-CLUSTERDOWN Hash slot\r\n" },
		{ HMGET("ivan") LIST("ivan") ACCOUNT("acme"),
		    ACME EMPTY "-MOVED 1 192.0.2.1:6379\r\n", NULL },
		{ HMGET("ivan") LIST("ivan") ACCOUNT("acme"), BAD EMPTY LOADING,
		    NULL } };
	size_t i;

	(void)state;
	set_source("192.0.2.1");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_non_null(ask("ivan"));
		one_go(cases[i].commands, cases[i].replies);
		if (cases[i].more != NULL)
			one_go(ACCOUNT("acme"), cases[i].more);
		answered(USER_UNAVAILABLE);
	}
	assert_lacks(logged(), "bad record");
}

static void
test_address(void **state)
{
	(void)state;
	set_source("192.0.2.1");
	assert_non_null(ask_address("::ffff:192.0.2.1"));
	one_go("GET smtp:ip:{192.0.2.1}\n", ALICE);
	one_go(HMGET("alice") LIST("alice"), OF_IP EMPTY);
	answered(USER_OK);
	assert_string_equal(user.name, "alice");
	/* Whose it is, is asked each time. */
	assert_non_null(ask_address("192.0.2.1"));
	one_go("GET smtp:ip:{192.0.2.1}\n" HMGET("alice") LIST("alice"),
	    ALICE OF_IP EMPTY);
	answered(USER_OK);
	assert_non_null(ask_address("192.0.2.1"));
	one_go("GET smtp:ip:{192.0.2.1}\n" HMGET("alice") LIST("alice"),
	    NIL OF_IP EMPTY);
	answered(USER_NONE);
	/* And forgotten with that. */
	assert_non_null(ask_address("192.0.2.1"));
	one_go("GET smtp:ip:{192.0.2.1}\n", NIL);
	answered(USER_NONE);
	assert_non_null(ask_address("[2001:DB8::0:1]"));
	one_go("GET smtp:ip:{2001:db8::1}\n", NIL);
	answered(USER_NONE);
}

/* Whoever the address was of, all that is said is of who has it now. */
static void
test_new_owner(void **state)
{
	static const char *const old[] = { BAD EMPTY PRO, WRONGTYPE EMPTY PRO,
		NOBODY EMPTY PRO, OF_IP_ACME WRONGTYPE PRO,
		OF_IP_ACME EMPTY WRONGTYPE, OF_IP_ACME EMPTY BLOCKED };
	char			 text[512];
	size_t			 i;

	(void)state;
	set_source("192.0.2.1");
	for (i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
		forget();
		SCRIPT(ALICE, OF_IP_ACME, EMPTY, PRO);
		assert_non_null(ask_address("192.0.2.1"));
		wait_for(USER_OK);
		assert_true(user.pro);
		fakeredis_script(&fake, NULL, 0);
		snprintf(text, sizeof(text), BOB "%s", old[i]);
		assert_non_null(ask_address("192.0.2.1"));
		one_go("GET smtp:ip:{192.0.2.1}\n" HMGET("alice") LIST("alice")
			   ACCOUNT("acme"),
		    text);
		one_go(HMGET("bob") LIST("bob"), OF_IP EMPTY);
		answered(USER_OK);
		assert_string_equal(user.name, "bob");
		assert_string_equal(user.account, "");
		assert_int_equal(user.source, SOURCE_ANY);
		assert_false(user.pro);
		assert_true(user_active(&user));
	}
	/* Who is not there. */
	assert_non_null(ask_address("192.0.2.1"));
	one_go("GET smtp:ip:{192.0.2.1}\n" HMGET("bob") LIST("bob"),
	    ALICE OF_IP EMPTY);
	one_go(HMGET("alice") LIST("alice") ACCOUNT("acme"), NOBODY EMPTY PRO);
	answered(USER_NONE);
	assert_string_equal(logged(), "");
}

/* Named by the address, but not of it: half a change lets nobody in. */
static void
test_address_half(void **state)
{
	(void)state;
	SCRIPT(ALICE, PLAIN, /* has no ip_auth */
	    ALICE, OF_IP,    /* has another */
	    ALICE, NOBODY,   /* is gone */
	    "$0\r\n\r\n",    /* the key is empty */
	    NIL);
	assert_non_null(ask_address("192.0.2.1"));
	wait_for(USER_NONE);
	assert_non_null(ask_address("192.0.2.2"));
	wait_for(USER_NONE);
	assert_non_null(ask_address("192.0.2.3"));
	wait_for(USER_NONE);
	assert_non_null(ask_address("192.0.2.4"));
	wait_for(USER_NONE);
	assert_non_null(ask_address("192.0.2.5"));
	wait_for(USER_NONE);
	assert_int_equal(fake.ncommands, 8);
}

static void
test_address_bad(void **state)
{
	const char *text;

	(void)state;
	SCRIPT("$3\r\na b\r\n", ":1\r\n", WRONGTYPE, "*0\r\n", LOADING, ALICE,
	    BAD);
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
	    "smtp:ip:{192.0.2.11}: bad record: not the name of a user" ADVICE);
	assert_contains(text,
	    "smtp:ip:{192.0.2.13}: bad record: wrong type" ADVICE);
	assert_contains(text, "smtp:user:{alice}: bad record: mode" ADVICE);
}

/* A key that is bad now, of a user known before, whose record is bad too. */
static void
test_address_bad_guessed(void **state)
{
	(void)state;
	SCRIPT(ALICE, OF_IP);
	assert_non_null(ask_address("192.0.2.1"));
	wait_for(USER_OK);
	fakeredis_script(&fake, NULL, 0);
	assert_non_null(ask_address("192.0.2.1"));
	one_go("GET smtp:ip:{192.0.2.1}\n" HMGET("alice"), ":1\r\n" BAD);
	answered(USER_BAD);
	assert_string_equal(logged(),
	    "unit: smtp:ip:{192.0.2.1}: bad record: not the name of a "
	    "user" ADVICE);
}

static char account[USER_NAME_MAX + 1]; /* that was guessed last */

static bool
guess(const char *name, const char *want)
{
	char got[USER_NAME_MAX + 1] = "";
	bool limited;

	account[0] = '\0';
	question.name = name;
	limited = users_guess_limited(users, &question, got, account);
	assert_string_equal(got, want);
	return (limited);
}

/* Whether limits are to be asked about, by what is remembered. */
static void
test_guess_limited(void **state)
{
	(void)state;
	set_address("192.0.2.1");
	assert_false(guess("alice", ""));
	assert_false(guess(NULL, ""));
	SCRIPT(LIMITED, PLAIN, LIMITED);
	assert_non_null(ask("alice"));
	wait_for(USER_OK);
	assert_true(guess("alice", "alice"));
	assert_false(guess("bob", ""));
	assert_false(guess(NULL, ""));
	assert_non_null(ask("alice"));
	wait_for(USER_OK);
	assert_false(guess("alice", "alice"));
	assert_non_null(ask("alice"));
	wait_for(USER_OK);
	/* A question about a login does not read limits, nor forget them. */
	SCRIPT(LIMITED, "*3\r\n" NIL NIL NIL);
	assert_non_null(ask("alice"));
	wait_for(USER_OK);
	question.scope = USER_LOGIN;
	assert_non_null(ask("alice"));
	wait_for(USER_NONE);
	assert_contains(fake.log, "\n" HMGET_BRIEF("alice"));
	SCRIPT(BRIEF(NIL, NIL));
	assert_non_null(ask("alice"));
	wait_for(USER_OK);
	question.scope = USER_WHOLE;
	assert_true(guess("alice", "alice"));
	/* The address's, once it is known whose it is. */
	SCRIPT(ALICE, LIMITED, NIL, LIMITED);
	assert_non_null(ask_address("192.0.2.1"));
	wait_for(USER_NONE);
	assert_true(guess(NULL, "alice"));
	assert_non_null(ask_address("192.0.2.1"));
	wait_for(USER_NONE);
	assert_false(guess(NULL, ""));
}

/* A login asks for little, and for more where that does not tell enough. */
static void
test_brief(void **state)
{
	(void)state;
	question.scope = USER_LOGIN;
	assert_non_null(ask("alice"));
	one_go(HMGET_BRIEF("alice"), BRIEF(BULK_ACME, NIL));
	one_go(ACCOUNT_BRIEF("acme"), PRO_BRIEF);
	answered(USER_OK);
	assert_string_equal(user.password, HASH);
	assert_true(user_active(&user));
	assert_non_null(ask("alice"));
	one_go(HMGET_BRIEF("alice") ACCOUNT_BRIEF("acme"),
	    BRIEF(BULK_ACME, NIL) "*3\r\n$3\r\npro\r\n" BULK_BLOCKED NIL);
	answered(USER_OK);
	assert_false(user_active(&user));
	assert_non_null(ask("alice"));
	one_go(HMGET_BRIEF("alice") ACCOUNT_BRIEF("acme"),
	    BRIEF(BULK_ACME, NIL) "*3\r\n$3\r\npro\r\n" NIL "$1\r\nb\r\n");
	answered(USER_OK);
	assert_false(user_active(&user));
	/* The source may be on a list, which is another matter. */
	set_source("192.0.2.1");
	assert_non_null(ask("bob"));
	one_go(HMGET_LOGIN("bob") LIST("bob"), LOGIN(NIL, NIL, NIL) EMPTY);
	answered(USER_OK);
	assert_true(user_source_allowed(&user));
}

/* Who is blocked may be so no longer. */
static void
test_brief_blocked(void **state)
{
	static const struct {
		const char *replies;
		bool	    active;
	} rows[] = { { LOGIN(NIL, BULK_BLOCKED, NIL), false },
		{ LOGIN(NIL, BULK_BLOCKED, "$20\r\n9999-01-01T00:00:00Z\r\n"),
		    false },
		{ LOGIN(NIL, BULK_BLOCKED, "$20\r\n2026-01-01T00:00:00Z\r\n"),
		    true },
		{ LOGIN(NIL, NIL, NIL), true } };
	size_t i;

	(void)state;
	question.scope = USER_LOGIN;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_non_null(ask("alice"));
		one_go(HMGET_BRIEF("alice"), BRIEF(NIL, BULK_BLOCKED));
		one_go(HMGET_LOGIN("alice"), rows[i].replies);
		answered(USER_OK);
		assert_int_equal(user_active(&user), rows[i].active);
	}
	assert_non_null(ask("alice"));
	one_go(HMGET_BRIEF("alice"), BRIEF(NIL, BULK_BLOCKED));
	one_go(HMGET_LOGIN("alice"), "*6\r\n" NIL NIL NIL NIL NIL NIL);
	answered(USER_NONE);
}

/* An account may have none of what a login asks for, and still be there. */
static void
test_brief_account(void **state)
{
	static const char *const replies[] = { LOGIN(BULK_ACME, NIL, NIL)
						   NO_ACCOUNT,
		LOGIN(BULK_ACME, NIL, NIL) LIMITED_ACCOUNT };
	size_t			 i;

	(void)state;
	question.scope = USER_LOGIN;
	for (i = 0; i < 2; i++) {
		forget();
		assert_non_null(ask("alice"));
		one_go(HMGET_BRIEF("alice"), BRIEF(BULK_ACME, NIL));
		one_go(ACCOUNT_BRIEF("acme"), "*3\r\n" NIL NIL NIL);
		one_go(HMGET_LOGIN("alice") ACCOUNT("acme"), replies[i]);
		answered(USER_OK);
		assert_int_equal(user_active(&user), i == 1);
		assert_int_equal(user.no_account, i == 0);
	}
}

/* An account of which another answer came does not count for the user. */
static void
test_guess_limited_account(void **state)
{
	(void)state;
	SCRIPT(ACME, LIMITED_ACCOUNT, ACME, LIMITED_ACCOUNT, OF("$1\r\nb\r\n"),
	    LIMITED_ACCOUNT, PRO, OF("$1\r\nb\r\n"), PRO);
	assert_non_null(ask("alice"));
	wait_for(USER_OK);
	assert_true(guess("alice", "alice"));
	assert_string_equal(account, "acme");
	assert_non_null(ask("alice"));
	wait_for(USER_OK);
	assert_true(guess("alice", "alice"));
	assert_non_null(ask("alice"));
	wait_for(USER_OK);
	assert_false(guess("alice", "alice"));
	assert_string_equal(account, "");
	assert_non_null(ask("alice"));
	wait_for(USER_OK);
	assert_false(guess("alice", "alice"));
}

/* A query whose first goes are over, and the next one under way. */
struct stage {
	bool	    by_address;
	bool	    guessing; /* of alice it is known what follows */
	size_t	    nreplies;
	const char *replies[6];
	size_t	    ncommands; /* asked by then */
};

static const struct stage stages[] = { { false, false, 0, { NULL }, 3 },
	{ false, false, 1, { ACME }, 3 },
	{ false, false, 2, { BAD, EMPTY }, 3 },
	{ false, false, 3, { ACME, EMPTY, "*2\r\n:0\r\n:0\r\n" }, 5 },
	{ false, false, 4, { ACME, EMPTY, "*2\r\n:0\r\n:0\r\n", PRO }, 5 },
	{ false, true, 0, { NULL }, 5 },
	{ false, true, 3, { PLAIN, EMPTY, "*2\r\n:0\r\n:0\r\n" }, 5 },
	{ false, true, 4, { ACME, WRONGTYPE, LOADING, PRO }, 5 },
	{ true, false, 0, { NULL }, 1 }, { true, false, 1, { ALICE }, 4 },
	{ true, false, 2, { ALICE, OF_IP_ACME }, 4 },
	{ true, false, 4, { ALICE, OF_IP_ACME, EMPTY, "*2\r\n:0\r\n:0\r\n" },
	    6 },
	{ true, true, 0, { NULL }, 6 }, { true, true, 1, { BOB }, 6 },
	{ true, true, 5,
	    { ALICE, OF_IP_ACME, EMPTY, "*2\r\n:0\r\n:0\r\n", PRO }, 6 } };

#define NSTAGES (sizeof(stages) / sizeof(stages[0]))

static struct users_query *
reach(const struct stage *st)
{
	struct users_query *q;

	forget();
	if (st->guessing) {
		SCRIPT(ALICE, OF_IP_ACME, EMPTY, "*2\r\n:0\r\n:0\r\n", PRO,
		    "*2\r\n:0\r\n:0\r\n");
		assert_non_null(ask_address("192.0.2.1"));
		wait_for(USER_OK);
		called = 0;
	}
	fakeredis_script(&fake, st->replies, st->nreplies);
	q = st->by_address ? ask_address("192.0.2.1") : ask("alice");
	assert_non_null(q);
	unit_run_until(base,
	    fake.ncommands == st->ncommands && fakeredis_heard(&fake));
	assert_int_equal(called, 0);
	return (q);
}

static void
ask_much(void)
{
	set_source("192.0.2.1");
	ask_domains();
}

static void
test_cancel(void **state)
{
	size_t i, j;

	(void)state;
	ask_much();
	for (i = 0; i < NSTAGES; i++) {
		users_cancel(reach(&stages[i]));
		/* What it has asked is answered all the same. */
		for (j = stages[i].nreplies; j < stages[i].ncommands; j++)
			fakeredis_send(&fake, EMPTY, strlen(EMPTY));
		/* And what others ask is theirs. */
		SCRIPT(PLAIN, EMPTY, "*2\r\n:0\r\n:1\r\n");
		assert_non_null(ask("carol"));
		wait_for(USER_OK);
		assert_int_equal(user.assigned, 2);
		called = 0;
	}
	assert_int_equal(fake.naccepted, 1);
}

static void
test_cancel_then_lost(void **state)
{
	size_t i;

	(void)state;
	ask_much();
	for (i = 0; i < NSTAGES; i++) {
		users_cancel(reach(&stages[i]));
		fakeredis_hang_up(&fake);
		unit_run_until(base, !servers_ready(servers));
		unit_run_until(base, servers_ready(servers));
		assert_int_equal(called, 0);
	}
}

static void
test_lost(void **state)
{
	size_t i;

	(void)state;
	ask_much();
	for (i = 0; i < NSTAGES; i++) {
		reach(&stages[i]);
		fakeredis_hang_up(&fake);
		wait_for(USER_UNAVAILABLE);
		unit_run_until(base, servers_ready(servers));
		assert_int_equal(called, 1);
		called = 0;
	}
}

static void
test_freed(void **state)
{
	size_t i;

	(void)state;
	ask_much();
	for (i = 0; i < NSTAGES; i++) {
		users_cancel(reach(&stages[i]));
		users_free(users);
		servers_free(servers);
		servers = servers_new(base, &fake.conf);
		users = users_new(servers, &fake.conf);
		assert_non_null(users);
		unit_run_until(base, servers_ready(servers));
		assert_int_equal(called, 0);
	}
	users_free(NULL);
}

static void
test_unavailable(void **state)
{
	(void)state;
	fakeredis_stop(&fake);
	unit_run_until(base, !servers_ready(servers));
	assert_null(ask("alice"));
	assert_null(ask_address("192.0.2.1"));
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(called, 0);
}

/* What many at once are answered, each by the name that it asked about. */
static void
on_one_of_many(void *arg, enum users_found f, const struct user *u)
{
	const char *name = arg;

	called++;
	if (name[1] == 'n') {
		assert_int_equal(f, USER_NONE);
		return;
	}
	assert_int_equal(f, USER_OK);
	assert_string_equal(u->name, name);
	assert_int_equal(u->account[0] != '\0', name[1] == 'a');
	assert_int_equal(u->pro, name[1] == 'a');
}

static void
test_together(void **state)
{
	static char		 names[32][8];
	static const char	*many[64];
	static const char *const kinds[] = { "n", "p", "a" };
	struct users_question	 q = { 0 };
	size_t			 i, n = 0;

	(void)state;
	for (i = 0; i < 32; i++) {
		snprintf(names[i], sizeof(names[i]), "u%s%zu", kinds[i % 3], i);
		many[n++] = i % 3 == 0 ? NOBODY : i % 3 == 1 ? PLAIN : ACME;
	}
	/* Then come the accounts. */
	for (i = 0; i < 32; i++)
		if (i % 3 == 2)
			many[n++] = PRO;
	fakeredis_script(&fake, many, n);
	for (i = 0; i < 32; i++) {
		q.name = names[i];
		assert_non_null(users_ask(users, &q, on_one_of_many, names[i]));
	}
	unit_run_until(base, called == 32);
	assert_int_equal(fake.ncommands, n);
}

#define USAGE(key) "MEMORY USAGE smtp:" key " SAMPLES 100\n"
#define SIZES(name) \
	USAGE("user:{" name "}") USAGE("user:{" name "}:ips") COUNT(name)
#define LARGE ":40000000\r\n"

/* A reply of one value, too large to be read. */
static char *
giant(void)
{
	const size_t n = 2 << 20;
	char	    *text = malloc(n + 64);
	int	     head;

	assert_non_null(text);
	head = sprintf(text, "*1\r\n$%zu\r\n", n);
	memset(text + head, 'x', n);
	strcpy(text + head + n, "\r\n");
	return (text);
}

static void
check_too_large(const char *key)
{
	char want[256];

	snprintf(want, sizeof(want), "unit: %s: bad record: too large" ADVICE,
	    key);
	assert_string_equal(logged(), want);
}

/* Once it is known to be too large, it is not asked for again. */
static void
test_too_large(void **state)
{
	char *text = giant();

	(void)state;
	set_source("192.0.2.1");
	ask("alice");
	unit_run_until(base, fake.ncommands >= 2);
	fakeredis_script(&fake, NULL, 0);
	fakeredis_send(&fake, text, strlen(text));
	fakeredis_send(&fake, EMPTY, strlen(EMPTY));
	answered(USER_BAD);
	free(text);
	ask("alice");
	one_go(SIZES("alice"), LARGE NIL ":0\r\n");
	answered(USER_BAD);
	check_too_large("smtp:user:{alice}");
	/* Another one is. */
	ask("bob");
	one_go(HMGET("bob") LIST("bob"), PLAIN EMPTY);
	answered(USER_OK);
	/* And it is again as soon as it is not. */
	ask("alice");
	one_go(SIZES("alice"), ":100\r\n" NIL ":0\r\n");
	one_go(HMGET("alice") LIST("alice"), PLAIN EMPTY);
	answered(USER_OK);
	ask("alice");
	one_go(HMGET("alice") LIST("alice"), PLAIN EMPTY);
	answered(USER_OK);
}

static void
read_giant_list(void)
{
	char *text = giant();

	set_source("192.0.2.1");
	ask("alice");
	unit_run_until(base, fake.ncommands >= 2);
	fakeredis_script(&fake, NULL, 0);
	fakeredis_send(&fake, PLAIN, strlen(PLAIN));
	fakeredis_send(&fake, text, strlen(text));
	answered(USER_BAD);
	free(text);
}

/* A large list of few is bad, one of many is none that is read. */
static void
test_large_list(void **state)
{
	(void)state;
	read_giant_list();
	ask("alice");
	one_go(SIZES("alice"), ":100\r\n" LARGE ":2\r\n");
	answered(USER_BAD);
	ask("alice");
	one_go(SIZES("alice"), ":100\r\n" LARGE ":70\r\n");
	one_go(HMGET("alice") LIST("alice"), PLAIN EMPTY);
	answered(USER_OK);
}

/* Who may not ask for sizes reads it again. */
static void
test_size_denied(void **state)
{
	(void)state;
	read_giant_list();
	ask("alice");
	one_go(SIZES("alice"), "-NOPERM no\r\n-NOPERM no\r\n:2\r\n");
	one_go(HMGET("alice") LIST("alice"), PLAIN EMPTY);
	answered(USER_OK);
}

/* An account's record is read with each of its users. */
static void
test_large_account(void **state)
{
	char *text = giant();

	(void)state;
	ask("alice");
	one_go(HMGET("alice"), ACME);
	unit_run_until(base, fake.ncommands >= 1);
	fakeredis_script(&fake, NULL, 0);
	fakeredis_send(&fake, text, strlen(text));
	answered(USER_BAD);
	free(text);
	ask("alice");
	one_go(SIZES("alice") USAGE("account:{acme}"),
	    ":100\r\n" NIL ":0\r\n" LARGE);
	answered(USER_BAD);
}

/* An account whose size alone was asked for is not known. */
static void
test_large_account_left(void **state)
{
	static const char sizes[] = ":100\r\n" NIL ":0\r\n:100\r\n";
	char		 *text = giant();

	(void)state;
	ask("alice");
	one_go(HMGET("alice"), ACME);
	one_go(ACCOUNT("acme"), PRO);
	answered(USER_OK);
	ask("alice");
	ask("alice");
	one_go(HMGET("alice") ACCOUNT("acme") HMGET("alice") ACCOUNT("acme"),
	    text);
	fakeredis_send(&fake, PRO, strlen(PRO));
	wait_for(USER_BAD);
	free(text);
	ask("alice");
	one_go(SIZES("alice") USAGE("account:{acme}"), PLAIN PRO);
	wait_for(USER_OK);
	fakeredis_send(&fake, sizes, strlen(sizes));
	one_go(HMGET("alice"), ACME);
	one_go(ACCOUNT("acme"), BLOCKED);
	answered(USER_OK);
	assert_false(user_active(&user));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(test_record_alone), TEST(test_all), TEST(test_suppresses),
		TEST(test_assigned_addresses), TEST(test_account_status),
		TEST(test_no_account), TEST(test_account_left),
		TEST(test_guesses), TEST(test_list_grows),
		TEST(test_list_wavers), TEST(test_prefixes),
		TEST(test_no_source), TEST(test_no_address), TEST(test_none),
		TEST(test_gone), TEST(test_bad), TEST(test_bad_parts),
		TEST(test_bad_guessed), TEST(test_bad_account_left),
		TEST(test_errors), TEST(test_address), TEST(test_new_owner),
		TEST(test_address_half), TEST(test_address_bad),
		TEST(test_address_bad_guessed), TEST(test_guess_limited),
		TEST(test_guess_limited_account), TEST(test_cancel),
		TEST(test_cancel_then_lost), TEST(test_lost), TEST(test_freed),
		TEST(test_unavailable), TEST(test_together),
		TEST(test_too_large), TEST(test_large_list),
		TEST(test_size_denied), TEST(test_large_account),
		TEST(test_large_account_left), TEST(test_brief),
		TEST(test_brief_blocked), TEST(test_brief_account)
	};

	return (cmocka_run_group_tests_name("users", tests, NULL, NULL));
}
