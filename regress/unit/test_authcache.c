/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>
#include <time.h>

#include "unit.h"

/* A clock that moves when it is told to. */
static time_t clock_now = 1000000;

static int
fake_clock_gettime(clockid_t id, struct timespec *ts)
{
	assert_int_equal(id, CLOCK_MONOTONIC);
	ts->tv_sec = clock_now;
	ts->tv_nsec = 0;
	return (0);
}

#define clock_gettime fake_clock_gettime
#include "authcache.c" /* NOLINT(bugprone-suspicious-include) */

static bool
knows(const char *name, const char *password, const char *hash)
{
	uint8_t d[DIGEST_LEN];

	authcache_digest(d, name, password, hash);
	return (authcache_has(d));
}

static void
learn(const char *name, const char *password, const char *hash)
{
	uint8_t d[DIGEST_LEN];

	authcache_digest(d, name, password, hash);
	authcache_add(d);
}

static int
forget(void **state)
{
	(void)state;
	memset(entries, 0, sizeof(entries));
	return (0);
}

/* What was verified is known, and nothing near it. */
static void
test_exact(void **state)
{
	(void)state;
	assert_false(knows("alice", "secret", "$6$a$b"));
	learn("alice", "secret", "$6$a$b");
	assert_true(knows("alice", "secret", "$6$a$b"));
	assert_false(knows("alice", "Secret", "$6$a$b"));
	assert_false(knows("alice", "secret", "$6$a$c"));
	assert_false(knows("alicf", "secret", "$6$a$b"));
	assert_false(knows("alic", "esecret", "$6$a$b"));
	assert_false(knows("alice", "", "$6$a$b"));
	assert_false(knows("", "", ""));
}

static void
test_expires(void **state)
{
	(void)state;
	learn("alice", "secret", "h");
	clock_now += AUTHCACHE_TTL - 1;
	assert_true(knows("alice", "secret", "h"));
	clock_now += 1;
	assert_false(knows("alice", "secret", "h"));
	learn("alice", "secret", "h");
	assert_true(knows("alice", "secret", "h"));
}

/* Being asked for does not make it last; being verified again does. */
static void
test_renewed(void **state)
{
	(void)state;
	learn("alice", "secret", "h");
	clock_now += AUTHCACHE_TTL / 2;
	learn("alice", "secret", "h");
	clock_now += AUTHCACHE_TTL / 2;
	assert_true(knows("alice", "secret", "h"));
	assert_true(knows("alice", "secret", "h"));
	clock_now += AUTHCACHE_TTL / 2;
	assert_false(knows("alice", "secret", "h"));
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
		authcache_add(d[i]);
		clock_now++;
	}
	assert_false(authcache_has(d[0]));
	for (i = 1; i <= WAYS; i++)
		assert_true(authcache_has(d[i]));
}

/* As many as there is room for: nearly all stay, the last one surely. */
static void
test_many(void **state)
{
	char name[16];
	int  i, known = 0;

	(void)state;
	for (i = 0; i < AUTHCACHE_SIZE; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		learn(name, "secret", "h");
		assert_true(knows(name, "secret", "h"));
	}
	for (i = 0; i < AUTHCACHE_SIZE; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		known += knows(name, "secret", "h");
	}
	assert_in_range(known, AUTHCACHE_SIZE / 2, AUTHCACHE_SIZE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup(test_exact,
						forget),
		cmocka_unit_test_setup(test_expires, forget),
		cmocka_unit_test_setup(test_renewed, forget),
		cmocka_unit_test_setup(test_full, forget),
		cmocka_unit_test_setup(test_many, forget) };

	return (cmocka_run_group_tests_name("authcache", tests, NULL, NULL));
}
