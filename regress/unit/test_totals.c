/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "unit.h"

#include "fakeredis.h"
#include "log.h"

/* A clock that moves when it is told to. */
#define MORNING 1795250369 /* 2026-11-21T08:39:29Z */

static time_t hour_now = MORNING;

static time_t
fake_time(time_t *when)
{
	assert_null(when);
	return (hour_now);
}

#define time fake_time
#include "totals.c" /* NOLINT(bugprone-suspicious-include) */
#undef time

static struct event_base  *base;
static struct fakeredis	   fake;
static struct servers	  *servers;
static struct functions	  *functions;
static struct totals	  *t;
static struct unit_capture capture;

static int
set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	log_init("unit");
	hour_now = MORNING;
	base = event_base_new();
	fakeredis_init(&fake, base);
	/* Newer functions than ours stay. */
	fake.version = "*2\r\n:1000\r\n$16\r\n0123456789abcdef\r\n";
	unit_capture(&capture);
	servers = servers_new(base, &fake.conf);
	assert_non_null(servers);
	functions = functions_new(servers);
	assert_non_null(functions);
	t = totals_new(base);
	assert_non_null(t);
	totals_use(t, &fake.conf, servers, functions);
	return (0);
}

static int
tear_down(void **state)
{
	(void)state;
	unit_captured(&capture);
	totals_free(t);
	functions_free(functions);
	servers_free(servers);
	fakeredis_free(&fake);
	event_base_free(base);
	return (0);
}

static void
connect_now(void)
{
	fakeredis_start(&fake);
	unit_run_until(base,
	    servers_ready(servers) && strstr(fake.log, "PING") != NULL);
	unit_run_until(base, fakeredis_heard(&fake));
}

#define SCRIPT(...)                                                    \
	do {                                                           \
		static const char *const replies_[] = { __VA_ARGS__ }; \
		fakeredis_script(&fake, replies_,                      \
		    sizeof(replies_) / sizeof(replies_[0]));           \
	} while (0)

/* What Redis is told in a batch. */
static const char *
batch(const char *hour, int number, const char *rest)
{
	static char text[1024];

	snprintf(text, sizeof(text),
	    "FCALL smtpusers_count 1 smtp:stats:{%s} %s %d %s\n", hour, t->id,
	    number, rest);
	return (text);
}

/* A connection is asked about first. */
static void
wait_for(const char *expected)
{
	unit_run_until(base, strstr(fake.log, expected) != NULL);
	assert_int_equal(fake.ncommands, 1);
}

static void
add_user(const char *name, const char *account, uint64_t bytes)
{
	const struct totals_share share = {
		.messages = 1, .recipients = 2, .bytes = bytes
	};

	totals_add(t, name, account, &share);
}

static void
count_one(enum reason reason)
{
	totals_count(t, TOTALS_MESSAGE, TOTALS_REFUSED, reason, 1);
}

static void
test_what_is_written(void **state)
{
	(void)state;
	connect_now();
	SCRIPT(":1\r\n");
	totals_count(t, TOTALS_LOGIN, TOTALS_ACCEPTED, REASON_NONE, 1);
	totals_count(t, TOTALS_BYTES, TOTALS_ACCEPTED, REASON_NONE, 0);
	count_one(REASON_QUOTA);
	count_one(REASON_QUOTA);
	add_user("alice", "acme", 10);
	add_user("alice", "acme", 20);
	add_user("bob", "", 5);
	wait_for(batch("2026-11-21T08", 1,
	    "2 login:accepted 1 message:refused:quota 2 "
	    "user alice 2 4 30 0 account acme 2 4 30 0 user bob 1 2 5 0"));
	unit_run_until(base, is_empty(t->hours.lh_first));
	/* Where there is nothing to write, nothing wakes up. */
	unit_run_until(base, !event_pending(t->timer, EV_TIMEOUT, NULL));
	assert_int_equal(t->nsums, 0);
}

/* It is sent again as it was, with its number; what came later is not in it. */
static void
test_lost_and_refused(void **state)
{
	char expected[1024];

	(void)state;
	connect_now();
	SCRIPT(FAKE_CLOSE);
	count_one(REASON_PLAN_NOT_PRO);
	snprintf(expected, sizeof(expected), "%s",
	    batch("2026-11-21T08", 1, "1 message:refused:plan-not-pro 1"));
	wait_for(expected);
	SCRIPT("-OOM command not allowed\r\n");
	count_one(REASON_SPF_UNKNOWN);
	wait_for(expected);
	SCRIPT(":0\r\n");
	wait_for(expected);
	SCRIPT(":1\r\n");
	wait_for(batch("2026-11-21T08", 2, "1 message:refused:spf-unknown 1"));
}

static void
test_hours(void **state)
{
	(void)state;
	count_one(REASON_PLAN_NOT_PRO);
	hour_now += HOUR_SECONDS;
	count_one(REASON_SPF_UNKNOWN);
	/* A clock that is set back. */
	hour_now -= HOUR_SECONDS;
	count_one(REASON_PLAN_NOT_PRO);
	assert_int_equal(t->nhours, 2);
	hour_now += HOUR_SECONDS;
	SCRIPT(":1\r\n", ":1\r\n");
	fakeredis_start(&fake);
	unit_run_until(base, fake.ncommands == 2);
	assert_contains(fake.log, "{2026-11-21T08}");
	assert_contains(fake.log, "1 message:refused:plan-not-pro 2\n");
	assert_contains(fake.log, "{2026-11-21T09}");
	assert_contains(fake.log, "1 message:refused:spf-unknown 1\n");
	unit_run_until(base, t->nhours == 1);
}

static void
test_too_many_hours(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < TOTALS_HOURS + 2; i++) {
		count_one(REASON_PLAN_NOT_PRO);
		add_user("alice", "acme", 1);
		hour_now += HOUR_SECONDS;
	}
	assert_int_equal(t->nhours, TOTALS_HOURS);
	assert_int_equal(t->nsums, 2 * TOTALS_HOURS);
	assert_true(unit_logged(&capture,
	    "the totals of an hour are lost: they waited for Redis for 24 "
	    "hours"));
}

static void
test_too_many_names(void **state)
{
	char name[16];
	int  i;

	(void)state;
	for (i = 0; i < TOTALS_NAMES + 3; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		add_user(name, "", 1);
	}
	add_user("u1", "", 1);
	assert_int_equal(t->nsums, TOTALS_NAMES);
	unit_run_until(base,
	    unit_logged(&capture, "3 counts are missing in the totals"));
	assert_int_equal(t->missing, 0);
}

/* Whole batches at once, the rest at the next time. */
static void
test_many_names(void **state)
{
	char name[16];
	int  i;

	(void)state;
	connect_now();
	SCRIPT(":1\r\n", ":1\r\n", ":1\r\n");
	for (i = 0; i < 2 * BATCH_NAMES + 50; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		add_user(name, "", 1);
	}
	unit_run_until(base, fake.ncommands == 2);
	assert_int_equal(t->nsums, 50);
	unit_run_until(base, fake.ncommands == 3 && t->nsums == 0);
}

static void
note_field(void *arg, const char *field, uint64_t n)
{
	char *text = arg;

	snprintf(text + strlen(text), 200 - strlen(text), "%s=%" PRIu64 " ",
	    field, n);
}

/* With the longest of each, a batch has room for all. */
static void
test_longest(void **state)
{
	char   field[TOTALS_FIELD], name[USER_NAME_MAX + 1] = "";
	size_t i;

	(void)state;
	memset(name, 'a', USER_NAME_MAX);
	for (i = 0; i < NCOUNTS; i++) {
		field_of(i, field);
		assert_true(strlen(field) < TOTALS_FIELD - 1);
		totals_count(t,
		    (enum totals_event)(i / REASONS / TOTALS_RESULTS),
		    (enum totals_result)(i / REASONS % TOTALS_RESULTS),
		    (enum reason)(i % REASONS), UINT64_MAX);
	}
	for (i = 0; i < BATCH_NAMES + 1; i++) {
		snprintf(name + USER_NAME_MAX - 6, 7, "%06zu", i);
		add_user(name, name, UINT64_MAX);
	}
	assert_true(take_batch(t->hours.lh_first));
	assert_int_equal(t->hours.lh_first->batch->argc, BATCH_WORDS);
	assert_true(t->hours.lh_first->batch->len <= BATCH_TEXT);
	assert_int_equal(t->hours.lh_first->ncounts, NCOUNTS - BATCH_FIELDS);
}

static void
test_since_the_start(void **state)
{
	char text[200] = "";

	(void)state;
	connect_now();
	SCRIPT(":1\r\n");
	count_one(REASON_PLAN_NOT_PRO);
	unit_run_until(base, fake.ncommands == 1);
	count_one(REASON_PLAN_NOT_PRO);
	totals_count(t, TOTALS_RECIPIENT, TOTALS_ACCEPTED, REASON_NONE, 7);
	totals_each(t, note_field, text);
	assert_string_equal(text,
	    "message:refused:plan-not-pro=2 recipient:accepted=7 ");
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = { TEST(test_what_is_written),
		TEST(test_lost_and_refused), TEST(test_hours),
		TEST(test_too_many_hours), TEST(test_too_many_names),
		TEST(test_many_names), TEST(test_longest),
		TEST(test_since_the_start) };

	return (cmocka_run_group_tests_name("totals", tests, NULL, NULL));
}
