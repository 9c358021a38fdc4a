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

static struct event_base      *base;
static struct fakeredis	       fake;
static struct redisconn	      *rc;
static struct redisconn_common common;
static struct unit_capture     capture;

/* What the callbacks got. */
struct got {
	int	  called;
	int	  type; /* -1: no reply */
	long long integer;
	char	  str[64];
	size_t	  len;
	int	  order;
};

static struct got got[64];
static int	  ngot;

static void
on_reply(void *arg, const redisReply *reply)
{
	struct got *g = arg;

	g->called++;
	g->order = ngot++;
	g->type = reply == REDIS_NO_REPLY ? -1 : reply->type;
	if (reply == REDIS_NO_REPLY)
		return;
	g->integer = reply->integer;
	g->len = reply->len;
	snprintf(g->str, sizeof(g->str), "%s",
	    reply->str != NULL ? reply->str : "");
}

static int
set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	log_init("unit");
	memset(got, 0, sizeof(got));
	ngot = 0;
	base = event_base_new();
	fakeredis_init(&fake, base);
	unit_capture(&capture);
	return (0);
}

static int
tear_down(void **state)
{
	(void)state;
	unit_captured(&capture);
	redisconn_free(rc);
	rc = NULL;
	fakeredis_free(&fake);
	event_base_free(base);
	return (0);
}

static struct redisconn *
new_conn(void)
{
	common.base = base;
	common.conf = &fake.conf;
	return (redisconn_new(&common, fake.conf.places.at, REDISCONN_SERVER));
}

static void
connect_now(void)
{
	rc = new_conn();
	assert_non_null(rc);
	unit_run_until(base, redisconn_ready(rc));
}

static struct redisreq *
ask(size_t i)
{
	char	    key[16];
	const char *argv[2] = { "GET", key };

	snprintf(key, sizeof(key), "k%zu", i);
	return (redisconn_send(rc, on_reply, &got[i], 2, argv));
}

static void
script(const char *const *replies, size_t n)
{
	fakeredis_script(&fake, replies, n);
}

#define SCRIPT(...)                                                       \
	do {                                                              \
		static const char *const replies_[] = { __VA_ARGS__ };    \
		script(replies_, sizeof(replies_) / sizeof(replies_[0])); \
	} while (0)

#define FUNCTIONS                     \
	"FCALL smtpusers_version 0\n" \
	"INFO memory persistence replication\n"

static void
test_login(void **state)
{
	static char user[] = "relay", password[] = "s3c ret";

	(void)state;
	fakeredis_start(&fake);
	connect_now();
	assert_string_equal(fake.log, FUNCTIONS "PING\n");
	redisconn_free(rc);

	fake.log[0] = '\0';
	fake.conf.redis_password = password;
	connect_now();
	assert_string_equal(fake.log, "AUTH s3c ret\n" FUNCTIONS "PING\n");
	redisconn_free(rc);

	fake.log[0] = '\0';
	fake.conf.redis_user = user;
	fake.conf.redis_db = 3;
	connect_now();
	assert_string_equal(fake.log,
	    "AUTH relay s3c ret\nSELECT 3\n" FUNCTIONS "PING\n");
	assert_string_equal(unit_captured(&capture), "");
}

static int
lines(const char *text)
{
	int n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return (n);
}

/* Refused at one step: not ready, said once; and in when that is mended. */
static void
check_refused(const char **step, const char *reply, const char *words)
{
	static char password[] = "s3cret";
	const char *text;

	fake.conf.redis_password = password;
	fake.conf.redis_db = 1;
	*step = reply;
	fakeredis_start(&fake);
	rc = new_conn();
	assert_non_null(rc);
	unit_run_until(base, fake.naccepted == 3 || redisconn_ready(rc));
	assert_false(redisconn_ready(rc));
	assert_null(ask(0));
	*step = NULL;
	unit_run_until(base, redisconn_ready(rc));
	text = unit_captured(&capture);
	assert_contains(text, words);
	assert_lacks(text, "s3cret");
	/* Once an outage, and once that it is over. */
	assert_contains(text, "\nunit: redis: unix:fake: connected\n");
	assert_int_equal(lines(text), 2);
	assert_int_equal(got[0].called, 0);
}

static void
test_bad_auth(void **state)
{
	(void)state;
	check_refused(&fake.auth, "-WRONGPASS invalid username-password\r\n",
	    "AUTH: WRONGPASS invalid");
}

static void
test_bad_select(void **state)
{
	(void)state;
	check_refused(&fake.select, "-ERR DB index is out of range\r\n",
	    "SELECT: ERR DB index is out of range");
}

static void
test_bad_ping(void **state)
{
	(void)state;
	check_refused(&fake.ping, "-NOAUTH Authentication required.\r\n",
	    "PING: NOAUTH");
}

static void
test_loading(void **state)
{
	(void)state;
	check_refused(&fake.ping, "-LOADING Redis is loading\r\n",
	    "PING: LOADING");
}

static void
test_odd_ping(void **state)
{
	(void)state;
	check_refused(&fake.ping, ":1\r\n", "PING: unexpected reply");
}

static void
test_odd_auth(void **state)
{
	(void)state;
	check_refused(&fake.auth, "*2\r\n$1\r\na\r\n$-1\r\n",
	    "AUTH: unexpected reply");
}

static void
test_closed_at_login(void **state)
{
	(void)state;
	check_refused(&fake.ping, FAKE_CLOSE, "redis: unix:fake: ");
}

/* From before there were functions: as good as away. */
static void
test_too_old(void **state)
{
	(void)state;
	check_refused(&fake.version,
	    "-ERR unknown command 'FCALL', with args beginning with: "
	    "'smtpusers_version' '0' \r\n",
	    "redis: unix:fake: the server is too old: ");
}

static void
check_taken(const char *version)
{
	fake.version = version;
	fakeredis_start(&fake);
	connect_now();
	assert_int_equal(fake.naccepted, 1);
	assert_string_equal(unit_captured(&capture), "");
}

/* The functions are not loaded, which is for those to do who need them. */
static void
test_no_functions(void **state)
{
	(void)state;
	check_taken("-ERR Function not found\r\n");
}

/* Who may not call this one may be let to call those that matter. */
static void
test_no_permission(void **state)
{
	(void)state;
	check_taken("-NOPERM User relay has no permissions to run the 'fcall' "
		    "command\r\n");
}

/* As Redis does when it has as many clients as it takes. */
static void
test_refused_at_once(void **state)
{
	(void)state;
	check_refused(&fake.greeting, "-ERR max number of clients reached\r\n",
	    "ERR max number of clients reached");
}

static void
test_garbage_at_login(void **state)
{
	(void)state;
	check_refused(&fake.greeting, "SSH-2.0-OpenSSH_10.0\r\n",
	    "redis: unix:fake: ");
}

static void
test_replies(void **state)
{
	(void)state;
	fakeredis_start(&fake);
	connect_now();
	SCRIPT("$3\r\nabc\r\n", "$-1\r\n", ":42\r\n", "+FINE\r\n",
	    "-WRONGTYPE Operation\r\n", "*1\r\n$1\r\nx\r\n", "*-1\r\n");
	assert_non_null(ask(0));
	assert_non_null(ask(1));
	assert_non_null(ask(2));
	assert_non_null(ask(3));
	assert_non_null(ask(4));
	assert_non_null(ask(5));
	assert_non_null(ask(6));
	assert_int_equal(ngot, 0);
	unit_run_until(base, ngot == 7);
	assert_int_equal(got[0].type, REDIS_REPLY_STRING);
	assert_string_equal(got[0].str, "abc");
	assert_int_equal(got[1].type, REDIS_REPLY_NIL);
	assert_int_equal(got[2].type, REDIS_REPLY_INTEGER);
	assert_int_equal(got[2].integer, 42);
	assert_int_equal(got[3].type, REDIS_REPLY_STATUS);
	assert_int_equal(got[4].type, REDIS_REPLY_ERROR);
	assert_string_equal(got[4].str, "WRONGTYPE Operation");
	assert_int_equal(got[5].type, REDIS_REPLY_ARRAY);
	assert_int_equal(got[6].type, REDIS_REPLY_NIL);
	assert_true(redisconn_ready(rc));
	assert_contains(fake.log, "GET k0\nGET k1\nGET k2\n");
}

/* Those under way fail together, at once and once; those after, at once. */
static void
test_lost(void **state)
{
	int64_t start;
	size_t	i;

	(void)state;
	fakeredis_start(&fake);
	connect_now();
	SCRIPT("$1\r\nx\r\n", FAKE_HOLD, FAKE_HOLD, FAKE_CLOSE);
	start = unit_now();
	for (i = 0; i < 6; i++)
		assert_non_null(ask(i));
	unit_run_until(base, ngot == 6);
	assert_in_range(unit_now() - start, 0, UNIT_PATIENCE / 4);
	assert_int_equal(got[0].type, REDIS_REPLY_STRING);
	for (i = 1; i < 6; i++) {
		assert_int_equal(got[i].type, -1);
		assert_int_equal(got[i].order, i);
	}
	assert_false(redisconn_ready(rc));
	assert_null(ask(6));
	/* And all is well again by itself. */
	unit_run_until(base, redisconn_ready(rc));
	SCRIPT("$1\r\ny\r\n");
	assert_non_null(ask(7));
	unit_run_until(base, got[7].called);
	assert_string_equal(got[7].str, "y");
	for (i = 0; i < 6; i++)
		assert_int_equal(got[i].called, 1);
	assert_int_equal(got[6].called, 0);
}

static void
on_reply_again(void *arg, const redisReply *reply)
{
	struct redisreq *req;

	on_reply(arg, reply);
	req = ask(10);
	if (reply == REDIS_NO_REPLY)
		assert_null(req);
	else
		assert_non_null(req);
}

/* A callback may ask the next thing, and is told when there is none. */
static void
test_send_from_callback(void **state)
{
	const char *argv[] = { "GET", "first" };

	(void)state;
	fakeredis_start(&fake);
	connect_now();
	SCRIPT("$1\r\nx\r\n", "$1\r\ny\r\n", FAKE_CLOSE);
	redisconn_send(rc, on_reply_again, &got[0], 2, argv);
	unit_run_until(base, got[10].called);
	assert_string_equal(got[10].str, "y");
	redisconn_send(rc, on_reply_again, &got[1], 2, argv);
	unit_run_until(base, got[1].called);
	assert_int_equal(got[1].type, -1);
	unit_run_until(base, redisconn_ready(rc));
	assert_int_equal(got[10].called, 1);
}

static void
test_deadline(void **state)
{
	int64_t start, took;

	(void)state;
	fake.conf.redis_timeout = 200;
	fakeredis_start(&fake);
	connect_now();
	SCRIPT("$1\r\nx\r\n");
	assert_non_null(ask(0));
	unit_run_until(base, got[0].called);
	start = unit_now();
	assert_non_null(ask(1));
	assert_non_null(ask(2));
	unit_run_until(base, ngot == 3);
	took = unit_now() - start;
	assert_int_equal(got[1].type, -1);
	assert_int_equal(got[2].type, -1);
	assert_in_range(took, 150, 2000);
	/* That connection counts as lost. */
	assert_false(redisconn_ready(rc));
	unit_run_until(base, fake.nclosed == 1);
	unit_run_until(base, redisconn_ready(rc));
	assert_contains(unit_captured(&capture), "no reply in time");
}

/* The time of a request begins with it, whatever was asked before. */
static void
test_deadline_each(void **state)
{
	int64_t start;

	(void)state;
	fake.conf.redis_timeout = 300;
	fakeredis_start(&fake);
	connect_now();
	SCRIPT("$1\r\nx\r\n");
	assert_non_null(ask(0));
	unit_run_until(base, got[0].called);
	start = unit_now();
	unit_run_until(base, unit_now() - start >= 150);
	assert_non_null(ask(1));
	start = unit_now();
	unit_run_until(base, got[1].called);
	assert_in_range(unit_now() - start, 250, 2000);
}

static void
test_silent_at_login(void **state)
{
	(void)state;
	fakeredis_start(&fake);
	fake.ping = "*"; /* of which nothing more comes */
	rc = new_conn();
	unit_run_until(base, fake.log[0] != '\0');
	fake.ping = NULL;
	unit_run_until(base, redisconn_ready(rc));
	assert_int_equal(fake.naccepted, 2);
	assert_contains(unit_captured(&capture), "cannot connect in time");
}

/* A reply that nothing was asked for shakes the trust in all that follow. */
static void
test_unsolicited(void **state)
{
	(void)state;
	fakeredis_start(&fake);
	connect_now();
	fakeredis_send(&fake, "+HELLO\r\n", 8);
	unit_run_until(base, !redisconn_ready(rc));
	unit_run_until(base, redisconn_ready(rc));
	assert_int_equal(fake.naccepted, 2);
	assert_contains(unit_captured(&capture),
	    "a reply that nothing was asked for");
}

static void
test_one_reply_too_many(void **state)
{
	(void)state;
	fakeredis_start(&fake);
	connect_now();
	SCRIPT("$1\r\nx\r\n$1\r\ny\r\n$1\r\nz\r\n");
	assert_non_null(ask(0));
	unit_run_until(base, got[0].called);
	assert_string_equal(got[0].str, "x");
	unit_run_until(base, fake.naccepted == 2 && redisconn_ready(rc));
	SCRIPT("$1\r\nw\r\n");
	assert_non_null(ask(1));
	unit_run_until(base, got[1].called);
	assert_string_equal(got[1].str, "w");
}

/* The rest of it would be taken for what is asked next. */
static void
test_begun_unasked(void **state)
{
	(void)state;
	fakeredis_start(&fake);
	connect_now();
	fakeredis_send(&fake, "*3\r\n$7\r\nmess", 12);
	unit_run_until(base, !redisconn_ready(rc));
	unit_run_until(base, redisconn_ready(rc));
	assert_int_equal(fake.naccepted, 2);
	assert_contains(unit_captured(&capture),
	    "a reply that nothing was asked for");
}

/* A request that waits behind a push is told at once. */
static void
test_push(void **state)
{
	int64_t start;

	(void)state;
	fakeredis_start(&fake);
	connect_now();
	SCRIPT(">2\r\n+a\r\n+b\r\n");
	start = unit_now();
	assert_non_null(ask(0));
	unit_run_until(base, ngot == 1);
	assert_in_range(unit_now() - start, 0, UNIT_PATIENCE / 4);
	assert_int_equal(got[0].type, -1);
	unit_run_until(base, redisconn_ready(rc));
	assert_contains(unit_captured(&capture), "not the protocol of Redis");
}

/* What only a newer or a hostile server would send ends nothing for good. */
static void
check_survives(const char *bytes)
{
	size_t naccepted = fake.naccepted;

	fakeredis_send(&fake, bytes, strlen(bytes));
	unit_run_until(base, fakeredis_heard(&fake));
	unit_run_until(base, redisconn_ready(rc));
	memset(got, 0, sizeof(got));
	SCRIPT("$1\r\nx\r\n");
	if (ask(0) != NULL)
		unit_run_until(base, got[0].called);
	/* It made no difference, became part of the reply, or was the end. */
	if (got[0].type == REDIS_REPLY_STRING)
		assert_string_equal(got[0].str, "x");
	else if (got[0].type != REDIS_REPLY_ARRAY)
		unit_run_until(base,
		    fake.naccepted > naccepted && redisconn_ready(rc));
}

static void
test_odd_bytes(void **state)
{
	static const char *const cases[] = {
		">3\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n$1\r\nb\r\n",
		"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n",
		"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", "*-2\r\n",
		"$-7\r\n", "$99999999999999999999\r\n", ":x\r\n",
		"*99999999999\r\n", "\r\n", "?\r\n", "%1\r\n", "_\r\n",
		"#t\r\n", ",1.5\r\n", "(123\r\n", "=4\r\ntxt:\r\n",
		"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"
	};
	size_t i;

	(void)state;
	fake.conf.redis_timeout = 200; /* where more is to come */
	fakeredis_start(&fake);
	connect_now();
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_survives(cases[i]);
}

static void
test_protocol_error(void **state)
{
	(void)state;
	fakeredis_start(&fake);
	connect_now();
	SCRIPT("hello?\r\n");
	assert_non_null(ask(0));
	assert_non_null(ask(1));
	unit_run_until(base, ngot == 2);
	assert_int_equal(got[0].type, -1);
	assert_int_equal(got[1].type, -1);
	unit_run_until(base, redisconn_ready(rc));
	assert_int_equal(fake.naccepted, 2);
}

/* A string reply of n bytes. */
static void
send_string(size_t n)
{
	char head[32], *body = malloc(n);

	assert_non_null(body);
	memset(body, 'x', n);
	snprintf(head, sizeof(head), "$%zu\r\n", n);
	fakeredis_send(&fake, head, strlen(head));
	fakeredis_send(&fake, body, n);
	fakeredis_send(&fake, "\r\n", 2);
	free(body);
}

/* It fails whom it is for, and nobody else. */
static void
test_giant(void **state)
{
	size_t i;

	(void)state;
	fakeredis_start(&fake);
	connect_now();
	SCRIPT(FAKE_HOLD);
	for (i = 0; i < 4; i++)
		assert_non_null(ask(i));
	unit_run_until(base, fake.ncommands == 4);
	send_string(1000000);
	send_string(40 << 20);
	send_string(40 << 20);
	send_string(3);
	unit_run_until(base, ngot == 4);
	assert_int_equal(got[0].len, 1000000);
	assert_int_equal(got[1].type, REDIS_REPLY_ERROR);
	assert_int_equal(got[2].type, REDIS_REPLY_ERROR);
	assert_memory_equal(got[2].str, "TOOLARGE ", 9);
	assert_string_equal(got[3].str, "xxx");
	assert_int_equal(fake.naccepted, 1);
	/* Which is for those to log who know whose it is. */
	assert_string_equal(unit_captured(&capture), "");
}

/* A giant that takes longer than a request may is no lost connection. */
static void
test_slow_giant(void **state)
{
	static const char text[10000];
	const size_t	  size = 2000000;
	size_t		  sent = 0;
	int64_t		  start, last;

	(void)state;
	fake.conf.redis_timeout = 1000;
	fakeredis_start(&fake);
	connect_now();
	SCRIPT("$2000000\r\n");
	assert_non_null(ask(0));
	unit_run_until(base, fake.ncommands == 1);
	start = unit_now();
	while (unit_now() - start < 2200 && sent + sizeof(text) <= size) {
		fakeredis_send(&fake, text, sizeof(text));
		sent += sizeof(text);
		last = unit_now();
		unit_run_until(base, unit_now() - last >= 20);
	}
	assert_int_equal(ngot, 0);
	for (; sent < size; sent += sizeof(text))
		fakeredis_send(&fake, text, sizeof(text));
	fakeredis_send(&fake, "\r\n", 2);
	unit_run_until(base, ngot == 1);
	assert_int_equal(got[0].type, REDIS_REPLY_ERROR);
	assert_int_equal(fake.naccepted, 1);
	/* One that stands still is. */
	SCRIPT("$2000000\r\nxyz");
	assert_non_null(ask(1));
	unit_run_until(base, ngot == 2);
	assert_int_equal(got[1].type, -1);
	assert_contains(unit_captured(&capture), "no reply in time");
}

/* Many small elements are worth more memory than their bytes. */
static void
test_giant_array(void **state)
{
	int64_t start = unit_now();

	(void)state;
	fakeredis_start(&fake);
	connect_now();
	SCRIPT("*2000000\r\n");
	assert_non_null(ask(0));
	unit_run_until(base, ngot == 1);
	assert_int_equal(got[0].type, -1);
	/* Refused for its size, not for want of time. */
	assert_in_range(unit_now() - start, 0, UNIT_PATIENCE / 2);
	unit_run_until(base, redisconn_ready(rc));
}

static void
test_nobody_there(void **state)
{
	const char *text;

	(void)state;
	rc = new_conn();
	assert_non_null(rc);
	assert_false(redisconn_ready(rc));
	assert_null(ask(0));
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_false(redisconn_ready(rc));
	fakeredis_start(&fake);
	unit_run_until(base, redisconn_ready(rc));
	assert_int_equal(got[0].called, 0);
	text = unit_captured(&capture);
	assert_contains(text, "unit: redis: unix:fake: ");
	assert_contains(text, "unit: redis: unix:fake: connected\n");
}

/* The pauses between attempts grow, from 50 ms on, each jittered by half. */
static void
test_backoff(void **state)
{
	int64_t pause, least = 25;
	size_t	i;

	(void)state;
	fake.greeting = FAKE_CLOSE;
	fakeredis_start(&fake);
	rc = new_conn();
	unit_run_until(base, fake.naccepted == 6);
	for (i = 1; i < 6; i++, least *= 2) {
		pause = fake.accepted[i] - fake.accepted[i - 1];
		assert_in_range(pause, least - 2, least * 3 + 1000);
	}
	/* Once connected, it begins anew. */
	fake.greeting = NULL;
	unit_run_until(base, redisconn_ready(rc));
	i = fake.naccepted;
	pause = unit_now();
	fakeredis_hang_up(&fake);
	unit_run_until(base, fake.naccepted > i);
	assert_in_range(unit_now() - pause, 0, 500);
}

static void
test_cancel(void **state)
{
	struct redisreq *req;

	(void)state;
	fakeredis_start(&fake);
	connect_now();
	SCRIPT("$1\r\na\r\n", "$1\r\nb\r\n", "$1\r\nc\r\n", FAKE_CLOSE);
	assert_non_null(ask(0));
	assert_non_null(req = ask(1));
	redisconn_cancel(req);
	assert_non_null(ask(2));
	unit_run_until(base, got[2].called);
	assert_string_equal(got[0].str, "a");
	assert_string_equal(got[2].str, "c");
	assert_int_equal(got[1].called, 0);
	/* Lost, it is not called either. */
	assert_non_null(req = ask(3));
	redisconn_cancel(req);
	assert_non_null(ask(4));
	unit_run_until(base, got[4].called);
	assert_int_equal(got[4].type, -1);
	assert_int_equal(got[3].called, 0);
}

static struct redisreq *victim;

static void
on_reply_cancel(void *arg, const redisReply *reply)
{
	on_reply(arg, reply);
	redisconn_cancel(victim);
}

/* One callback cancels the next, while both are being failed or answered. */
static void
test_cancel_from_callback(void **state)
{
	const char *argv[] = { "GET", "k" };

	(void)state;
	fakeredis_start(&fake);
	connect_now();
	SCRIPT("$1\r\na\r\n", "$1\r\nb\r\n", "$1\r\nc\r\n", FAKE_CLOSE);
	redisconn_send(rc, on_reply_cancel, &got[0], 2, argv);
	assert_non_null(victim = ask(1));
	assert_non_null(ask(2));
	unit_run_until(base, got[2].called);
	assert_int_equal(got[1].called, 0);
	redisconn_send(rc, on_reply_cancel, &got[3], 2, argv);
	assert_non_null(victim = ask(4));
	assert_non_null(ask(5));
	unit_run_until(base, got[5].called);
	assert_int_equal(got[3].type, -1);
	assert_int_equal(got[4].called, 0);
	assert_int_equal(got[5].type, -1);
}

static void
test_free_under_way(void **state)
{
	(void)state;
	fakeredis_start(&fake);
	connect_now();
	SCRIPT(FAKE_HOLD);
	assert_non_null(ask(0));
	assert_non_null(ask(1));
	redisconn_free(rc);
	rc = new_conn(); /* freed before connected */
	assert_non_null(rc);
	redisconn_free(rc);
	rc = NULL;
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(ngot, 0);
}

static void
on_reply_free(void *arg, const redisReply *reply)
{
	on_reply(arg, reply);
	redisconn_free(rc);
	rc = NULL;
}

/* Within a callback, of a reply as well as of none. */
static void
test_free_from_callback(void **state)
{
	const char *argv[] = { "GET", "k" };

	(void)state;
	fakeredis_start(&fake);
	connect_now();
	SCRIPT("$1\r\na\r\n", "$1\r\nb\r\n");
	redisconn_send(rc, on_reply_free, &got[0], 2, argv);
	assert_non_null(ask(1));
	unit_run_until(base, rc == NULL);
	assert_string_equal(got[0].str, "a");
	connect_now();
	SCRIPT(FAKE_CLOSE);
	redisconn_send(rc, on_reply_free, &got[2], 2, argv);
	assert_non_null(ask(3));
	unit_run_until(base, rc == NULL);
	assert_int_equal(got[2].type, -1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(ngot, 2);
}

static void
test_tcp(void **state)
{
	(void)state;
	/* Nobody listens on port 1 here. */
	assert_true(places_parse(&fake.conf.places, "tcp:127.0.0.1:1"));
	rc = new_conn();
	assert_non_null(rc);
	assert_null(ask(0));
	unit_run_until(base, ftell(capture.fp) > 0);
	assert_false(redisconn_ready(rc));
	assert_contains(unit_captured(&capture),
	    "redis: unix:fake: Connection refused");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(test_login), TEST(test_bad_auth), TEST(test_bad_select),
		TEST(test_bad_ping), TEST(test_loading), TEST(test_odd_ping),
		TEST(test_odd_auth), TEST(test_closed_at_login),
		TEST(test_too_old), TEST(test_no_functions),
		TEST(test_no_permission), TEST(test_refused_at_once),
		TEST(test_garbage_at_login), TEST(test_replies),
		TEST(test_lost), TEST(test_send_from_callback),
		TEST(test_deadline), TEST(test_deadline_each),
		TEST(test_silent_at_login), TEST(test_unsolicited),
		TEST(test_one_reply_too_many), TEST(test_odd_bytes),
		TEST(test_protocol_error), TEST(test_giant),
		TEST(test_slow_giant), TEST(test_begun_unasked),
		TEST(test_push), TEST(test_free_from_callback),
		TEST(test_giant_array), TEST(test_nobody_there),
		TEST(test_backoff), TEST(test_cancel),
		TEST(test_cancel_from_callback), TEST(test_free_under_way),
		TEST(test_tcp)
	};

	return (cmocka_run_group_tests_name("redisconn", tests, NULL, NULL));
}
