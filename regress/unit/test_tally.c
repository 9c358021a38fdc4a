/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tally.h"

#define TURNS 6

/* As long as it takes for all to be over. */
static int
forget(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < TURNS; i++)
		tally_turn();
	return (0);
}

static void
test_nothing(void **state)
{
	const struct tally_latency latency = tally_latency();

	(void)state;
	assert_int_equal(latency.replies, 0);
	assert_int_equal(latency.median, 0);
	assert_int_equal(latency.p99, 0);
	assert_int_equal(latency.worst, 0);
}

static void
test_counts_and_the_last_minute(void **state)
{
	const int64_t before = tallies[TALLY_MESSAGES_ACCEPTED];
	int	      i;

	(void)state;
	tally_add(TALLY_MESSAGES_ACCEPTED, 5);
	for (i = 0; i < TURNS - 1; i++) {
		assert_int_equal(tally_minute(TALLY_MESSAGES_ACCEPTED), 5);
		tally_turn();
	}
	tally_add(TALLY_MESSAGES_ACCEPTED, 2);
	assert_int_equal(tally_minute(TALLY_MESSAGES_ACCEPTED), 7);
	tally_turn();
	assert_int_equal(tally_minute(TALLY_MESSAGES_ACCEPTED), 2);
	assert_int_equal(tallies[TALLY_MESSAGES_ACCEPTED], before + 7);
}

static void
test_one_reply(void **state)
{
	static const int64_t times[] = { 0, 1, 15, 16, 17, 31, 32, 99, 1000,
		65535, 65536, 999999, 5000000, 134217727 };
	struct tally_latency latency;
	size_t		     i;

	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		forget(state);
		tally_redis(times[i]);
		latency = tally_latency();
		assert_int_equal(latency.replies, 1);
		assert_int_equal(latency.worst, times[i]);
		assert_int_equal(latency.median, times[i]);
		assert_int_equal(latency.p99, times[i]);
	}
}

static void
test_what_no_clock_says(void **state)
{
	(void)state;
	tally_redis(-1);
	assert_int_equal(tally_latency().worst, 0);
	tally_redis(INT64_MAX);
	assert_int_equal(tally_latency().worst, 134217727);
	tally_redis(INT64_MIN);
	assert_int_equal(tally_latency().replies, 3);
}

static int
compare(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x < y ? -1 : x > y);
}

/* Never less than it is, and an eighth more at the most. */
static void
assert_about(int64_t found, int64_t exact)
{
	assert_true(found >= exact && found <= exact + exact / 8);
}

static void
test_quantiles(void **state)
{
	int64_t		     times[1000], worst = 0;
	struct tally_latency latency;
	size_t		     i;
	int		     run;

	srandom(7);
	for (run = 0; run < 200; run++) {
		const size_t n = 1 + (size_t)random() % 1000;

		forget(state);
		for (i = 0; i < n; i++) {
			times[i] = random() % (1L << (random() % 27));
			tally_redis(times[i]);
			if (i == n / 2)
				tally_turn();
		}
		qsort(times, n, sizeof(times[0]), compare);
		worst = times[n - 1];
		latency = tally_latency();
		assert_int_equal(latency.replies, n);
		assert_int_equal(latency.worst, worst);
		assert_about(latency.median, times[(n + 1) / 2 - 1]);
		assert_about(latency.p99, times[n - n / 100 - 1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_nothing, forget),
		cmocka_unit_test_setup(test_counts_and_the_last_minute, forget),
		cmocka_unit_test_setup(test_one_reply, forget),
		cmocka_unit_test_setup(test_what_no_clock_says, forget),
		cmocka_unit_test_setup(test_quantiles, forget),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
