/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "log.h"
#include "resp.h"

/* Time goes by as the tests say. */
static time_t pretended;

static time_t
pretend(void)
{
	return (1000 + pretended);
}

#define monotonic_s pretend
#include "trouble.c" /* NOLINT(bugprone-suspicious-include) */

#define GET "GET smtp:ip:{192.0.2.1}"
#define RECORD "HMGET smtp:user:{alice}"
#define RESERVE "FCALL smtpusers_reserve"

static struct trouble	  *trouble;
static struct unit_capture capture;

static int
set_up(void **state)
{
	(void)state;
	log_init("unit");
	trouble = trouble_new("unix:fake");
	unit_capture(&capture);
	return (trouble == NULL ? -1 : 0);
}

static int
tear_down(void **state)
{
	(void)state;
	unit_captured(&capture);
	trouble_free(trouble);
	return (0);
}

/* What was logged since the last time, without what each line begins with. */
static const char *
said(void)
{
	static const char head[] = "unit: redis: unix:fake: ";
	static char	  text[8192];
	char		 *from, *to = text;

	from = strcpy(text, unit_captured(&capture));
	while (strncmp(from, head, sizeof(head) - 1) == 0) {
		from += sizeof(head) - 1;
		do
			*to++ = *from;
		while (*from++ != '\n');
	}
	assert_int_equal(*from, '\0');
	*to = '\0';
	unit_capture(&capture);
	return (text);
}

#define RIGHTS ": smtpusers setup prints the rights that it needs\n"

static void
reply(const char *request, const char *bytes)
{
	redisReply *r = resp_read(bytes, strlen(bytes));

	trouble_reply(trouble, request, r);
	freeReplyObject(r);
}

static void
test_request(void **state)
{
	const char *argv[] = { "HMGET", "smtp:user:{alice}", "password" };
	const char *many[] = { "GET", NULL };
	char	    out[TROUBLE_REQUEST], key[200];

	(void)state;
	trouble_request(out, 3, argv);
	assert_string_equal(out, RECORD);
	trouble_request(out, 1, argv);
	assert_string_equal(out, "HMGET");
	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	many[1] = key;
	trouble_request(out, 2, many);
	assert_int_equal(strlen(out), TROUBLE_REQUEST - 1);
	many[0] = key;
	trouble_request(out, 2, many);
	assert_int_equal(strlen(out), TROUBLE_REQUEST - 1);
}

/* An outage, at each change of its cause. */
static void
test_away(void **state)
{
	(void)state;
	trouble_back(trouble);
	assert_string_equal(said(), "");
	trouble_away(trouble, "Connection refused");
	trouble_away(trouble, "Connection refused");
	assert_string_equal(said(), "Connection refused\n");
	trouble_away(trouble, "PING: LOADING");
	assert_string_equal(said(), "PING: LOADING\n");
	/* Whose rights did not suffice is told, too. */
	trouble_away(trouble, "Permission denied");
	trouble_away(trouble, "Permission denied");
	assert_contains(said(), "Permission denied, as uid ");
	assert_string_equal(said(), "");
	trouble_back(trouble);
	trouble_back(trouble);
	assert_string_equal(said(), "connected\n");
	trouble_away(trouble, "Connection refused");
	assert_string_equal(said(), "Connection refused\n");
}

/* By the command and the kind of key, whoever's it is. */
static void
test_denied(void **state)
{
	(void)state;
	reply(GET, "-NOPERM no permission\r\n");
	reply("GET smtp:ip:{192.0.2.2}", "-NOPERM no permission\r\n");
	reply(RECORD, "*0\r\n");
	assert_string_equal(said(), GET ": NOPERM no permission" RIGHTS);
	reply("HMGET smtp:user:{bob}", "-NOPERM no permission\r\n");
	assert_string_equal(said(),
	    "HMGET smtp:user:{bob}: NOPERM no permission" RIGHTS);
	reply("GET smtp:ip:{192.0.2.3}", "$-1\r\n");
	assert_string_equal(said(), GET ": no longer NOPERM\n");
	reply(GET, "$-1\r\n");
	assert_string_equal(said(), "");
	reply(RECORD, "*0\r\n");
	assert_string_equal(said(),
	    "HMGET smtp:user:{bob}: no longer NOPERM\n");
}

/* Each is told with its own words, and is over with its own request. */
static void
test_states(void **state)
{
	static const char *const codes[] = { "READONLY", "OOM", "MISCONF",
		"NOREPLICAS", "EXECABORT" };
	char			 bytes[64], want[128];
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		snprintf(bytes, sizeof(bytes), "-%s so it is\r\n", codes[i]);
		reply(RESERVE, bytes);
		reply(RESERVE, bytes);
		reply(RECORD, "*0\r\n");
		snprintf(want, sizeof(want), RESERVE ": %s so it is\n",
		    codes[i]);
		assert_string_equal(said(), want);
		reply(RESERVE, ":1\r\n");
		snprintf(want, sizeof(want), RESERVE ": no longer %s\n",
		    codes[i]);
		assert_string_equal(said(), want);
		trouble_free(trouble);
		trouble = trouble_new("unix:fake");
	}
}

/* What no request is served for is over with any. */
static void
test_of_all(void **state)
{
	(void)state;
	reply(RECORD, "-LOADING it is\r\n");
	reply(GET, "-LOADING it is\r\n");
	assert_string_equal(said(), RECORD ": LOADING it is\n");
	reply(GET, "$-1\r\n");
	assert_string_equal(said(), RECORD ": no longer LOADING\n");
}

/* An error without a word of its own is told by its text. */
static void
test_err(void **state)
{
	(void)state;
	reply(RESERVE, "-ERR Function not found\r\n");
	reply(RESERVE, "-ERR Function not found\r\n");
	assert_string_equal(said(), RESERVE ": ERR Function not found\n");
	reply(RESERVE, "-ERR user_script:1: attempt\r\n");
	assert_string_equal(said(), RESERVE ": ERR user_script:1: attempt\n");
	reply(RESERVE, ":1\r\n");
	assert_contains(said(), RESERVE ": no longer ERR Function not found\n");
}

/* What concerns one record, or is about to be mended, is no trouble. */
static void
test_none(void **state)
{
	(void)state;
	reply(RECORD, "-WRONGTYPE Operation\r\n");
	reply(RECORD, "-" REDIS_TOO_LARGE " a value\r\n");
	reply("FCALL smtpusers_version", "-ERR Function not found\r\n");
	reply(RECORD, "*0\r\n");
	assert_string_equal(said(), "");
}

static void
info(const char *text, int replicas)
{
	const char *bytes = text[0] == '-' ? text : resp_string(text);
	redisReply *r = resp_read(bytes, strlen(bytes));

	trouble_info(trouble, r, replicas);
	freeReplyObject(r);
}

static int
lines(const char *text)
{
	int n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return (n);
}

/* States that alternate fill no log. */
static void
test_flood(void **state)
{
	const char *text;
	int	    i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		reply(GET, "-NOPERM no\r\n");
		reply(GET, "$-1\r\n");
	}
	text = said();
	assert_int_equal(lines(text), TROUBLE_LINES + 1);
	assert_contains(text, "the next changes are logged in a minute\n");
}

/* What could not be said is, once there is room and it is still so. */
static void
test_after_flood(void **state)
{
	test_flood(state);
	trouble_away(trouble, "Connection refused");
	info("aof_enabled:0\r\nrole:master\r\n", 0);
	assert_string_equal(said(), "");
	pretended += 60;
	trouble_away(trouble, "Connection refused");
	info("aof_enabled:0\r\nrole:master\r\n", 0);
	trouble_away(trouble, "Connection refused");
	info("aof_enabled:0\r\nrole:master\r\n", 0);
	assert_int_equal(lines(said()), 2);
}

/* More kinds at once than are kept apart. */
static void
test_many(void **state)
{
	char request[32];
	int  i;

	(void)state;
	for (i = 0; i < 100; i++) {
		snprintf(request, sizeof(request), "GET k%d", i);
		reply(request, "-NOPERM no\r\n");
	}
	for (i = 0; i < 100; i++) {
		snprintf(request, sizeof(request), "GET k%d", i);
		reply(request, "$-1\r\n");
	}
	assert_int_equal(lines(said()), TROUBLE_LINES + 1);
}

/* One line a danger, whatever is connected how often; and when it is over. */
static void
test_dangers(void **state)
{
	static const char sound[] = "aof_enabled:1\r\nrole:master\r\n";

	(void)state;
	info("aof_enabled:0\r\nrole:master\r\n", 0);
	info("aof_enabled:0\r\nrole:master\r\n", 0);
	assert_contains(said(), "there is no append-only file");
	info("aof_enabled:0\r\nrole:slave\r\n", 0);
	assert_string_equal(said(),
	    "this is a replica, which cannot be written\n");
	info(sound, 0);
	info(sound, 0);
	assert_int_equal(lines(said()), 2);
	info(sound, 1);
	assert_contains(said(), "redis_replicas is 1, and there are 0");
}

static void
test_unseen(void **state)
{
	(void)state;
	info("-NOPERM no\r\n", 0);
	info("-NOPERM no\r\n", 0);
	assert_string_equal(said(),
	    "INFO: NOPERM no: whether what it is told is kept cannot be "
	    "seen\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(test_request), TEST(test_away), TEST(test_denied),
		TEST(test_states), TEST(test_of_all), TEST(test_err),
		TEST(test_none), TEST(test_flood), TEST(test_after_flood),
		TEST(test_many), TEST(test_dangers), TEST(test_unseen)
	};

	return (cmocka_run_group_tests_name("trouble", tests, NULL, NULL));
}
