/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "fakeredis.h"
#include "log.h"
#include "servers.h"
#include "writequeue.h"

/* gcc has it in its library, but in no header of its own. */
size_t __sanitizer_get_current_allocated_bytes(void);

static struct event_base  *base;
static struct fakeredis	   fake;
static struct servers	  *servers;
static struct writequeue  *j;
static struct unit_capture capture;

static int
set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	log_init("unit");
	base = event_base_new();
	fakeredis_init(&fake, base);
	unit_capture(&capture);
	servers = servers_new(base, &fake.conf);
	assert_non_null(servers);
	j = writequeue_new(base, servers);
	assert_non_null(j);
	return (0);
}

static int
tear_down(void **state)
{
	(void)state;
	unit_captured(&capture);
	writequeue_free(j);
	servers_free(servers);
	fakeredis_free(&fake);
	event_base_free(base);
	return (0);
}

static void
connect_now(void)
{
	fakeredis_start(&fake);
	unit_run_until(base, servers_ready(servers));
}

#define SCRIPT(...)                                                    \
	do {                                                           \
		static const char *const replies_[] = { __VA_ARGS__ }; \
		fakeredis_script(&fake, replies_,                      \
		    sizeof(replies_) / sizeof(replies_[0]));           \
	} while (0)

/* The caller's strings are gone when it returns. */
static void
write_one(const char *text)
{
	char	      *copy = strdup(text);
	const char    *argv[] = { "SET", "key", copy };
	struct command command = { 3, 1, argv };

	assert_non_null(copy);
	writequeue_add(j, WRITEQUEUE_WORDS, "alice", 1, &command);
	memset(copy, 'X', strlen(copy));
	free(copy);
}

static void
write_two(const char *text)
{
	const char    *first[] = { "SET", "key", text };
	const char    *second[] = { "EXPIRE", "key", "", "10" };
	struct command commands[] = { { 3, 1, first }, { 4, 1, second } };

	writequeue_add(j, WRITEQUEUE_WORDS, "alice", 2, commands);
}

#define WROTE(text) "SET key " text "\n"
#define WROTE_TWO(text) WROTE(text) "EXPIRE key  10\n"

/* Whether all was said that the fake is to hear, the login aside. */
static void
wait_for(const char *expected)
{
	unit_run_until(base, strlen(fake.log) >= strlen(expected));
	assert_string_equal(fake.log, expected);
}

/* When another entry has to be sent again, it alone is. */
static void
assert_forgotten(void)
{
	unit_run_until(base, fakeredis_heard(&fake));
	SCRIPT("-LOADING Redis is loading\r\n", "+OK\r\n");
	write_one("next");
	unit_run_until(base, fake.ncommands == 2);
	assert_string_equal(fake.log, WROTE("next") WROTE("next"));
}

static void
test_written(void **state)
{
	(void)state;
	connect_now();
	SCRIPT("+OK\r\n", "+OK\r\n", ":1\r\n", "+OK\r\n");
	write_one("one");
	write_two("two 2");
	write_one("");
	wait_for(WROTE("one") WROTE_TWO("two 2") WROTE(""));
	assert_forgotten();
	/* Once only, so nowhere else. */
	assert_contains(unit_captured(&capture), "LOADING");
}

/* Kept until there is a connection, and written in the order it came. */
static void
test_no_connection(void **state)
{
	(void)state;
	write_one("one");
	write_two("two");
	assert_false(servers_ready(servers));
	SCRIPT("+OK\r\n", "+OK\r\n", ":1\r\n");
	fakeredis_start(&fake);
	unit_run_until(base, fake.ncommands == 3);
	assert_contains(fake.log, WROTE("one") WROTE_TWO("two"));
}

/* What was under way when the connection went is sent again, and that alone. */
static void
test_lost(void **state)
{
	(void)state;
	connect_now();
	SCRIPT("+OK\r\n", FAKE_CLOSE);
	write_two("two");
	unit_run_until(base, fake.ncommands == 2);
	SCRIPT(":1\r\n");
	unit_run_until(base, fake.ncommands == 1);
	assert_contains(fake.log, "EXPIRE key  10\n");
	assert_lacks(fake.log, WROTE("two"));
	assert_forgotten();
}

static void
test_lost_first(void **state)
{
	(void)state;
	connect_now();
	SCRIPT(FAKE_CLOSE);
	write_two("two");
	unit_run_until(base, fake.ncommands == 1);
	SCRIPT("+OK\r\n", FAKE_CLOSE);
	unit_run_until(base, fake.ncommands == 2);
	SCRIPT(":1\r\n");
	unit_run_until(base, fake.ncommands == 1);
	assert_contains(fake.log, "EXPIRE key  10\n");
	assert_lacks(fake.log, WROTE("two"));
}

static void
test_refused_for_now(void **state)
{
	(void)state;
	connect_now();
	SCRIPT("-MISCONF Redis is configured to save\r\n");
	write_one("one");
	unit_run_until(base, fake.ncommands == 1);
	SCRIPT("-OOM command not allowed\r\n");
	unit_run_until(base, fake.ncommands == 1);
	SCRIPT("+OK\r\n", ":1\r\n");
	unit_run_until(base, fake.ncommands == 1);
	assert_string_equal(fake.log, WROTE("one"));
	assert_forgotten();
}

static void
test_refused_for_good(void **state)
{
	(void)state;
	connect_now();
	SCRIPT("-WRONGTYPE Operation\r\n", "-ERR unknown command\r\n",
	    "-NOPERM no permission\r\n", ":0\r\n", "-NEWS of tomorrow\r\n");
	write_one("one");
	write_one("two");
	write_two("three");
	write_one("four");
	unit_run_until(base, fake.ncommands == 5);
	assert_forgotten();
	unit_run_until(base, unit_logged(&capture, "lost"));
	assert_contains(unit_captured(&capture),
	    "4 entries of logs, counters or events are "
	    "lost: NEWS of tomorrow\n");
}

/* A command that is refused for good has nobody write the others again. */
static void
test_refused_half(void **state)
{
	(void)state;
	connect_now();
	SCRIPT("-ERR no\r\n", "-LOADING Redis is loading\r\n");
	write_two("two");
	unit_run_until(base, fake.ncommands == 2);
	SCRIPT(":1\r\n");
	unit_run_until(base, fake.ncommands == 1);
	assert_string_equal(fake.log, "EXPIRE key  10\n");
	assert_forgotten();
}

/* The first was not written: what is behind it comes behind it again. */
static void
test_refused_first(void **state)
{
	(void)state;
	connect_now();
	SCRIPT("-LOADING Redis is loading\r\n", ":0\r\n");
	write_two("two");
	unit_run_until(base, fake.ncommands == 2);
	SCRIPT("+OK\r\n", ":1\r\n");
	unit_run_until(base, fake.ncommands == 2);
	assert_string_equal(fake.log, WROTE_TWO("two"));
	assert_forgotten();
}

static void
write_big(size_t len)
{
	char *text = malloc(len + 1);

	assert_non_null(text);
	memset(text, 'x', len);
	text[len] = '\0';
	write_one(text);
	free(text);
}

/* The oldest makes room, so that memory has a bound. */
static void
test_bound(void **state)
{
	size_t before = __sanitizer_get_current_allocated_bytes();
	int    i;

	(void)state;
	write_one("first");
	for (i = 0; i < 50; i++)
		write_big(1 << 20);
	for (i = 0; i < 100000; i++)
		write_big(100);
	assert_in_range(__sanitizer_get_current_allocated_bytes() - before,
	    WRITEQUEUE_MAX / 2, WRITEQUEUE_MAX + (1 << 20));
	write_big(WRITEQUEUE_MAX - 1024);
	write_big(2048);
	write_one("last");
	SCRIPT("+OK\r\n", "+OK\r\n");
	fakeredis_start(&fake);
	unit_run_until(base, fake.ncommands == 2);
	assert_contains(fake.log, WROTE("last"));
	assert_lacks(fake.log, "first");
	unit_run_until(base, unit_logged(&capture, "lost"));
	assert_contains(unit_captured(&capture), "are lost: too many wait");
	unit_run_until(base, fakeredis_heard(&fake));
}

static void
write_for(const char *user, enum writequeue_kind kind, const char *text)
{
	const char    *argv[] = { "SET", user, text };
	struct command command = { 3, 1, argv };

	writequeue_add(j, kind, user, 1, &command);
}

/* While there is no Redis: who writes most loses his own, and words only. */
static void
test_shares(void **state)
{
	static const char honest[] = "SET bob refund\nSET bob word\n"
				     "SET carol word\nSET eve";
	char		  text[4096];
	int		  i;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	write_for("bob", WRITEQUEUE_WORDS, "word");
	write_for("carol", WRITEQUEUE_WORDS, "word");
	write_for("eve", WRITEQUEUE_WORDS, "word");
	for (i = 0; i < 12000; i++)
		write_for("eve", WRITEQUEUE_WORDS, text);
	/* What is charged comes first, whatever else waits. */
	write_for("bob", WRITEQUEUE_CHARGES, "refund");
	fakeredis_start(&fake);
	unit_run_until(base, fake.ncommands > 3);
	assert_contains(fake.log, honest);
	assert_lacks(fake.log, "SET eve word");
	unit_run_until(base, unit_logged(&capture, "lost"));
	unit_captured(&capture);
}

/* More than is sent at a time: the rest follows. */
static void
test_many(void **state)
{
	static const char *replies[600];
	char		   text[16];
	size_t		   i;

	(void)state;
	for (i = 0; i < 600; i++) {
		snprintf(text, sizeof(text), "%zu", i);
		write_one(text);
		replies[i] = "+OK\r\n";
	}
	fakeredis_script(&fake, replies, 600);
	fakeredis_start(&fake);
	unit_run_until(base, fake.ncommands == 600);
	assert_contains(fake.log, WROTE("0") WROTE("1"));
	assert_contains(fake.log, WROTE("598") WROTE("599"));
}

static char   watched[1024];
static size_t unwanted; /* replies */

static bool
on_reply(void *arg, const struct command *command, const redisReply *reply)
{
	assert_ptr_equal(arg, &unwanted);
	snprintf(watched + strlen(watched), sizeof(watched) - strlen(watched),
	    "%s %s\n", command->argv[command->argc - 1],
	    reply->type == REDIS_REPLY_INTEGER ? "number" : reply->str);
	if (unwanted == 0)
		return (true);
	unwanted--;
	return (false);
}

/* A reply that is not wanted is none; those to other kinds are nobody's. */
static void
test_watch(void **state)
{
	(void)state;
	connect_now();
	writequeue_watch(j, WRITEQUEUE_WORDS, on_reply, &unwanted);
	watched[0] = '\0';
	unwanted = 2;
	SCRIPT("+OK\r\n", "-ERR no\r\n");
	write_two("two");
	unit_run_until(base, fake.ncommands == 2);
	SCRIPT("+DONE\r\n", ":1\r\n");
	unit_run_until(base, fake.ncommands == 2);
	unit_run_until(base, strstr(watched, "number") != NULL);
	assert_string_equal(fake.log, WROTE_TWO("two"));
	assert_string_equal(watched,
	    "two OK\n10 ERR no\ntwo DONE\n10 number\n");
	writequeue_watch(j, WRITEQUEUE_WORDS, NULL, NULL);
	writequeue_watch(j, WRITEQUEUE_EVENTS, on_reply, &unwanted);
	assert_forgotten();
	assert_lacks(watched, "next");
	assert_lacks(unit_captured(&capture), "lost");
}

/* With entries under way, held, and never sent. */
static void
test_end(void **state)
{
	(void)state;
	connect_now();
	SCRIPT("+OK\r\n", "-READONLY no\r\n", FAKE_HOLD);
	write_two("half");
	write_one("held");
	unit_run_until(base, fake.ncommands == 3);
	writequeue_free(j);
	j = NULL;
	fakeredis_send(&fake, "+OK\r\n", 5);
	unit_run_until(base, fakeredis_heard(&fake));
	assert_true(servers_ready(servers));
	writequeue_free(NULL);
	j = writequeue_new(base, servers);
	assert_non_null(j);
	fakeredis_hang_up(&fake);
	write_one("waiting");
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = { test(test_written),
		test(test_no_connection), test(test_lost),
		test(test_lost_first), test(test_refused_for_now),
		test(test_refused_for_good), test(test_refused_half),
		test(test_refused_first), test(test_bound), test(test_shares),
		test(test_many), test(test_watch), test(test_end) };

	return (cmocka_run_group_tests_name("writequeue", tests, NULL, NULL));
}
