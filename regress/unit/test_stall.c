/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include "unit.h"

#include "stall.h"

#define SECOND 1000000

/* Long after the clock began, as it is on most machines. */
#define NOW ((int64_t)40 * 24 * 3600 * SECOND)

static void
test_nothing_yet(void **state)
{
	struct stall s = { 0 };

	(void)state;
	assert_false(stall_exhausted(&s, NOW));
}

static void
test_what_is_taken_at_once(void **state)
{
	struct stall s = { 0 };

	(void)state;
	stall_add(&s, NOW, STALL_MAX - 1);
	assert_false(stall_exhausted(&s, NOW));
	stall_add(&s, NOW, 1);
	assert_true(stall_exhausted(&s, NOW));
	assert_true(stall_exhausted(&s, NOW + STALL_SHARE - 1));
	assert_false(stall_exhausted(&s, NOW + STALL_SHARE));
}

/* However it is asked for, and however long a single wait is. */
static void
test_the_share_in_the_long_run(void **state)
{
	static const int64_t waits[] = { 3000, 50000, 1000000 };
	struct stall	     s;
	int64_t		     now, taken;
	size_t		     i;

	(void)state;
	for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		s = (struct stall){ 0 };
		taken = 0;
		for (now = NOW; now < NOW + (int64_t)3600 * SECOND;
		    now += 7001) {
			if (stall_exhausted(&s, now))
				continue;
			now += waits[i];
			taken += waits[i];
			stall_add(&s, now, waits[i]);
		}
		assert_in_range(taken, (int64_t)3600 * SECOND / STALL_SHARE / 2,
		    (int64_t)3600 * SECOND / STALL_SHARE + STALL_MAX +
			waits[i]);
	}
}

static void
test_idle_time_is_not_saved_up(void **state)
{
	struct stall s = { 0 };

	(void)state;
	stall_add(&s, NOW, 1);
	assert_false(stall_exhausted(&s, 2 * NOW));
	stall_add(&s, 2 * NOW, STALL_MAX);
	assert_true(stall_exhausted(&s, 2 * NOW));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_nothing_yet),
		cmocka_unit_test(test_what_is_taken_at_once),
		cmocka_unit_test(test_the_share_in_the_long_run),
		cmocka_unit_test(test_idle_time_is_not_saved_up) };

	return (cmocka_run_group_tests_name("stall", tests, NULL, NULL));
}
