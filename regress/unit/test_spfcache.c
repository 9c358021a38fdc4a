/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "unit.h"

#include "spfcache.h"

static struct spfcache *cache;
static time_t		clock_now;

int clock_gettime(clockid_t, struct timespec *);

/* The cache's clock is the test's. */
int
clock_gettime(clockid_t id, struct timespec *ts)
{
	(void)id;
	ts->tv_sec = clock_now;
	ts->tv_nsec = 0;
	return (0);
}

static int
setup(void **state)
{
	(void)state;
	clock_now = 1000000;
	cache = spfcache_new();
	return (cache == NULL ? -1 : 0);
}

static int
teardown(void **state)
{
	(void)state;
	spfcache_free(cache);
	return (0);
}

static void
add(const char *domain, enum spf_verdict verdict, uint32_t ttl)
{
	struct spf_answer a = { .verdict = verdict, .ttl = ttl };

	snprintf(a.record, sizeof(a.record), "v=spf1 of %s", domain);
	spfcache_add(cache, domain, &a);
	memset(&a, 0xff, sizeof(a));
}

static void
check(const char *domain, enum spf_verdict verdict)
{
	const struct spf_answer *a = spfcache_find(cache, domain);
	char			 record[SPF_RECORD];

	snprintf(record, sizeof(record), "v=spf1 of %s", domain);
	assert_non_null(a);
	assert_int_equal(a->verdict, verdict);
	assert_string_equal(a->record, record);
}

/* Good to the last of so many seconds, and gone with it. */
static void
check_life(enum spf_verdict verdict, uint32_t ttl, time_t life)
{
	add("a.test", verdict, ttl);
	clock_now += life - 1;
	check("a.test", verdict);
	clock_now++;
	assert_null(spfcache_find(cache, "a.test"));
}

static void
test_find(void **state)
{
	(void)state;
	assert_null(spfcache_find(cache, "a.test"));
	assert_null(spfcache_find(cache, ""));
	add("a.test", SPF_VERDICT_OK, 300);
	add("b.a.test", SPF_VERDICT_NONE, 300);
	add("", SPF_VERDICT_SYNTAX, 300);
	check("a.test", SPF_VERDICT_OK);
	check("b.a.test", SPF_VERDICT_NONE);
	check("", SPF_VERDICT_SYNTAX);
	assert_null(spfcache_find(cache, "test"));
	assert_null(spfcache_find(cache, "a.tes"));
	assert_null(spfcache_find(cache, "a.testt"));
}

static void
test_ttl(void **state)
{
	(void)state;
	check_life(SPF_VERDICT_OK, 300, 300);
	check_life(SPF_VERDICT_OK, SPFCACHE_MIN, SPFCACHE_MIN);
	check_life(SPF_VERDICT_OK, SPFCACHE_MAX, SPFCACHE_MAX);
	check_life(SPF_VERDICT_OK, SPFCACHE_MIN + 1, SPFCACHE_MIN + 1);
}

static void
test_bounds(void **state)
{
	(void)state;
	check_life(SPF_VERDICT_OK, 0, SPFCACHE_MIN);
	check_life(SPF_VERDICT_OK, SPFCACHE_MIN - 1, SPFCACHE_MIN);
	check_life(SPF_VERDICT_OK, SPFCACHE_MAX + 1, SPFCACHE_MAX);
	check_life(SPF_VERDICT_OK, UINT32_MAX, SPFCACHE_MAX);
}

static void
test_bad_ones(void **state)
{
	static const enum spf_verdict bad[] = { SPF_VERDICT_NONE,
		SPF_VERDICT_MULTIPLE, SPF_VERDICT_SYNTAX,
		SPF_VERDICT_NOT_INCLUDED, SPF_VERDICT_NOT_PASS };
	size_t			      i;

	(void)state;
	assert_in_range(SPFCACHE_BAD, 1, SPFCACHE_MAX - 1);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		check_life(bad[i], 0, SPFCACHE_BAD);
		check_life(bad[i], UINT32_MAX, SPFCACHE_BAD);
	}
}

static void
test_unknown(void **state)
{
	(void)state;
	add("a.test", SPF_VERDICT_UNKNOWN, 300);
	assert_null(spfcache_find(cache, "a.test"));
	/* Who asks again wants to know anew. */
	add("a.test", SPF_VERDICT_OK, 300);
	add("a.test", SPF_VERDICT_UNKNOWN, 300);
	assert_null(spfcache_find(cache, "a.test"));
}

static void
test_replace(void **state)
{
	(void)state;
	add("a.test", SPF_VERDICT_NONE, 300);
	add("a.test", SPF_VERDICT_OK, 3000);
	check("a.test", SPF_VERDICT_OK);
	clock_now += 2999;
	check("a.test", SPF_VERDICT_OK);
	add("a.test", SPF_VERDICT_SYNTAX, 3000);
	check("a.test", SPF_VERDICT_SYNTAX);
}

static void
test_size(void **state)
{
	char domain[32];
	int  i;

	(void)state;
	for (i = 0; i < SPFCACHE_SIZE; i++) {
		snprintf(domain, sizeof(domain), "d%d.test", i);
		add(domain, SPF_VERDICT_OK, 300);
	}
	check("d0.test", SPF_VERDICT_OK);
	/* The one added anew is the last to go. */
	add("d0.test", SPF_VERDICT_OK, 300);
	check("d1.test", SPF_VERDICT_OK);
	add("more.test", SPF_VERDICT_OK, 300);
	assert_null(spfcache_find(cache, "d1.test"));
	check("d0.test", SPF_VERDICT_OK);
	check("d2.test", SPF_VERDICT_OK);
	for (i = 0; i < SPFCACHE_SIZE; i++) {
		snprintf(domain, sizeof(domain), "e%d.test", i);
		add(domain, SPF_VERDICT_OK, 300);
	}
	assert_null(spfcache_find(cache, "d0.test"));
	assert_null(spfcache_find(cache, "more.test"));
	check("e0.test", SPF_VERDICT_OK);
}

static void
test_nothing_to_free(void **state)
{
	(void)state;
	spfcache_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_find, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ttl, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_size, setup, teardown),
		cmocka_unit_test(test_nothing_to_free)
	};

	return (cmocka_run_group_tests_name("spfcache", tests, NULL, NULL));
}
