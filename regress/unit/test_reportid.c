/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "reportid.h"

static struct reportids *ids;

static int
set_up(void **state)
{
	(void)state;
	ids = reportids_new();
	assert_non_null(ids);
	return (0);
}

static int
tear_down(void **state)
{
	(void)state;
	reportids_free(ids);
	return (0);
}

static int
by_text(const void *a, const void *b)
{
	return (strcmp(a, b));
}

/* Whether a new one was drawn. */
static bool
draws_of(const char *user, const char *account, time_t now,
    char id[REPORT_ID + 1])
{
	bool drawn = reportids_draw(ids, user, account, now, id);

	assert_int_equal(strlen(id), REPORT_ID);
	assert_int_equal(strspn(id, "0123456789"), REPORT_ID);
	if (drawn)
		reportids_written(ids, user, id);
	return (drawn);
}

static bool
draws(const char *user, time_t now)
{
	char id[REPORT_ID + 1];

	return (draws_of(user, "", now, id));
}

static void
use_up(const char *user, time_t now)
{
	size_t i;

	for (i = 0; i < REPORTID_BURST; i++)
		assert_true(draws(user, now));
	assert_false(draws(user, now));
}

static void
test_they_differ(void **state)
{
	static char drawn[1000][REPORT_ID + 1];
	char	    user[16];
	size_t	    i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		snprintf(user, sizeof(user), "user%zu", i / 100);
		assert_true(draws_of(user, "", 1, drawn[i]));
	}
	qsort(drawn, 1000, sizeof(drawn[0]), by_text);
	for (i = 1; i < 1000; i++)
		assert_string_not_equal(drawn[i - 1], drawn[i]);
}

static void
test_the_last_again(void **state)
{
	char   last[REPORT_ID + 1] = "", id[REPORT_ID + 1];
	size_t i;

	(void)state;
	for (i = 0; i < REPORTID_BURST; i++)
		assert_true(draws_of("alice", "", 7, last));
	for (i = 0; i < 3; i++) {
		assert_false(draws_of("alice", "", 7, id));
		assert_string_equal(id, last);
	}
	assert_true(draws("bob", 7));
}

static void
test_one_more_after_a_while(void **state)
{
	(void)state;
	use_up("alice", 1000);
	assert_false(draws("alice", 1000 + REPORTID_SECONDS - 1));
	assert_true(draws("alice", 1000 + REPORTID_SECONDS));
	assert_false(draws("alice", 1000 + REPORTID_SECONDS));
	assert_true(draws("alice", 1000 + 2 * REPORTID_SECONDS));
	use_up("alice", 1000 + 9000 * REPORTID_SECONDS);
}

/* The users of an account together, but one of each in any case. */
static void
test_an_account(void **state)
{
	char   user[16], first[REPORT_ID + 1], id[REPORT_ID + 1];
	size_t i;

	(void)state;
	assert_true(draws_of("alice", "acme", 1, first));
	for (i = 1; i < REPORTID_ACCOUNT_BURST; i++) {
		snprintf(user, sizeof(user), "user%zu", i / 100);
		assert_true(draws_of(user, "acme", 1, id));
	}
	assert_false(draws_of("alice", "acme", 1, id));
	assert_string_equal(id, first);
	assert_true(draws_of("bob", "acme", 1, id));
	assert_false(draws_of("bob", "acme", 1, id));
	/* An account is no user, and none is none. */
	assert_true(draws_of("acme", "", 1, id));
	assert_true(draws_of("carol", "", 1, id));
	assert_true(draws_of("carol", "other", 1, id));
	assert_false(draws_of("alice", "acme", REPORTID_ACCOUNT_SECONDS, id));
	/* Bob's own was one more. */
	assert_true(draws_of("alice", "acme", 1 + 2 * REPORTID_ACCOUNT_SECONDS,
	    id));
	assert_false(draws_of("alice", "acme", 1 + 2 * REPORTID_ACCOUNT_SECONDS,
	    id));
}

/* What is not written does not count, and is nobody's last one. */
static void
test_failed(void **state)
{
	char   last[REPORT_ID + 1], id[REPORT_ID + 1];
	size_t i;

	(void)state;
	for (i = 0; i < 2 * REPORTID_ACCOUNT_BURST; i++) {
		assert_true(reportids_draw(ids, "alice", "acme", 1, id));
		reportids_failed(ids, "alice", "acme");
	}
	for (i = 0; i < REPORTID_BURST; i++)
		assert_true(draws_of("alice", "acme", 1, last));
	assert_false(draws_of("alice", "acme", 1, id));
	assert_string_equal(id, last);
	reportids_failed(ids, "nobody", "nowhere");
}

/* Whoever was blocked last is remembered. */
static void
test_many_users(void **state)
{
	char   user[16];
	size_t i;

	(void)state;
	use_up("alice", 1);
	use_up("bob", 1);
	for (i = 0; i < REPORTID_NAMES - 2; i++) {
		snprintf(user, sizeof(user), "user%zu", i);
		assert_true(draws(user, 1));
	}
	assert_false(draws("alice", 1));
	assert_true(draws("one-more", 1));
	assert_true(draws("bob", 1));
	assert_false(draws("alice", 1));
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = { test(test_they_differ),
		test(test_the_last_again), test(test_one_more_after_a_while),
		test(test_an_account), test(test_failed),
		test(test_many_users) };

	return (cmocka_run_group_tests_name("reportid", tests, NULL, NULL));
}
