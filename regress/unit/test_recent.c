/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>
#include <time.h>

#include "unit.h"

/* A clock that moves when it is told to. */
static time_t clock_now = 1000000;

static time_t
fake_monotonic_s(void)
{
	return (clock_now);
}

#define monotonic_s fake_monotonic_s
#include "recent.c" /* NOLINT(bugprone-suspicious-include) */

#define SIZE 4096
#define TTL 60

static struct recent *set;

static bool
knows(const char *name)
{
	uint8_t d[DIGEST_LEN];

	digest_strings(d, 1, &name);
	return (recent_has(set, d));
}

static void
learn(const char *name)
{
	uint8_t d[DIGEST_LEN];

	digest_strings(d, 1, &name);
	recent_add(set, d);
}

static int
set_up(void **state)
{
	(void)state;
	set = recent_new(SIZE, TTL);
	return (set == NULL);
}

static int
tear_down(void **state)
{
	(void)state;
	recent_free(set);
	return (0);
}

static void
test_exact(void **state)
{
	uint8_t none[DIGEST_LEN] = { 0 };

	(void)state;
	assert_false(knows("alice"));
	assert_false(recent_has(set, none));
	learn("alice");
	assert_true(knows("alice"));
	assert_false(knows("Alice"));
	assert_false(knows("alic"));
	assert_false(knows(""));
	assert_false(recent_has(set, none));
}

static void
test_expires(void **state)
{
	(void)state;
	learn("alice");
	clock_now += TTL - 1;
	assert_true(knows("alice"));
	clock_now += 1;
	assert_false(knows("alice"));
	learn("alice");
	assert_true(knows("alice"));
}

/* Being asked for does not make it last; being added again does. */
static void
test_renewed(void **state)
{
	(void)state;
	learn("alice");
	clock_now += TTL / 2;
	learn("alice");
	clock_now += TTL / 2;
	assert_true(knows("alice"));
	assert_true(knows("alice"));
	clock_now += TTL / 2;
	assert_false(knows("alice"));
}

/* Full, it forgets the oldest of a row and takes the new. */
static void
test_full(void **state)
{
	uint8_t d[WAYS + 1][DIGEST_LEN];
	size_t	i;

	(void)state;
	memset(d, 7, sizeof(d));
	for (i = 0; i <= WAYS; i++) {
		d[i][DIGEST_LEN - 1] = (uint8_t)i;
		recent_add(set, d[i]);
		clock_now++;
	}
	assert_false(recent_has(set, d[0]));
	for (i = 1; i <= WAYS; i++)
		assert_true(recent_has(set, d[i]));
}

/* As many as there is room for: nearly all stay, the last one surely. */
static void
test_many(void **state)
{
	char name[16];
	int  i, known = 0;

	(void)state;
	for (i = 0; i < SIZE; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		learn(name);
		assert_true(knows(name));
	}
	for (i = 0; i < SIZE; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		known += knows(name);
	}
	assert_in_range(known, SIZE / 2, SIZE);
}

/* What floods one set leaves another alone. */
static void
test_sets_are_apart(void **state)
{
	struct recent *other = recent_new(SIZE, TTL);
	char	       name[16];
	int	       i;

	(void)state;
	assert_non_null(other);
	learn("alice");
	for (i = 0; i < 4 * SIZE; i++) {
		const char *p = name;
		uint8_t	    d[DIGEST_LEN];

		snprintf(name, sizeof(name), "u%d", i);
		digest_strings(d, 1, &p);
		recent_add(other, d);
	}
	assert_true(knows("alice"));
	recent_free(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(test_exact), TEST(test_expires), TEST(test_renewed),
		TEST(test_full), TEST(test_many), TEST(test_sets_are_apart)
	};

	return (cmocka_run_group_tests_name("recent", tests, NULL, NULL));
}
