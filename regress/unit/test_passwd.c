/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <crypt.h>
#include <string.h>

#include "unit.h"

#include "passwd.h"

static struct event_base  *base;
static struct passwd_pool *pool;

/* What the callbacks said, each about the job of its own number. */
static int		  called[PASSWD_QUEUE + 8];
static enum passwd_result results[PASSWD_QUEUE + 8];
static size_t		  ncalled;

static void
on_result(void *arg, enum passwd_result result)
{
	size_t i = (size_t)(intptr_t)arg;

	called[i]++;
	results[i] = result;
	ncalled++;
}

static int
set_up(void **state)
{
	(void)state;
	memset(called, 0, sizeof(called));
	ncalled = 0;
	base = event_base_new();
	pool = passwd_pool_new(base, 2);
	return (pool == NULL);
}

static int
tear_down(void **state)
{
	(void)state;
	passwd_pool_free(pool);
	pool = NULL;
	event_base_free(base);
	return (0);
}

/* A hash at the least cost that the scheme has. */
static const char *
hash_of(const char *prefix, unsigned long cost, const char *password)
{
	static char	  hash[CRYPT_OUTPUT_SIZE];
	struct crypt_data data;
	char		  setting[CRYPT_GENSALT_OUTPUT_SIZE];

	memset(&data, 0, sizeof(data));
	assert_non_null(crypt_gensalt_rn(prefix, cost, NULL, 0, setting,
	    sizeof(setting)));
	assert_non_null(crypt_rn(password, setting, &data, sizeof(data)));
	snprintf(hash, sizeof(hash), "%s", data.output);
	return (hash);
}

static const struct {
	const char   *prefix;
	unsigned long cost;
} schemes[] = { { "$y$", 1 }, { "$gy$", 1 }, { "$7$", 6 }, { "$2b$", 4 },
	{ "$2y$", 4 }, { "$6$", 1000 }, { "$5$", 1000 }, { "$1$", 0 },
	{ "$sha1", 4 }, { "", 0 } };

static void
test_schemes(void **state)
{
	const char *hash;
	size_t	    i;

	(void)state;
	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		hash = hash_of(schemes[i].prefix, schemes[i].cost, "SeC:|t 1");
		assert_int_equal(passwd_verify("SeC:|t 1", hash), PASSWD_RIGHT);
		assert_int_equal(passwd_verify("sec:|t 1", hash), PASSWD_WRONG);
		assert_int_equal(passwd_verify("", hash), PASSWD_WRONG);
		assert_int_equal(passwd_verify(hash, hash), PASSWD_WRONG);
	}
}

/* Test vectors that others have published. */
static void
test_known(void **state)
{
	static const char sha512[] =
	    "$6$saltstring$svn8UoSVapNtMuq1ukKS"
	    "4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz"
	    "1";
	static const char bcrypt[] = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO"
				     "9kmyuRGyh0XouQYb4YMJKvyOeW";

	(void)state;
	assert_int_equal(passwd_verify("Hello world!", sha512), PASSWD_RIGHT);
	assert_int_equal(passwd_verify("Hello world", sha512), PASSWD_WRONG);
	assert_int_equal(passwd_verify("U*U", bcrypt), PASSWD_RIGHT);
	assert_int_equal(passwd_verify("U*V", bcrypt), PASSWD_WRONG);
}

/* No password is right for what is no hash, or for half of one. */
static void
test_no_hash(void **state)
{
	static const char *const cases[] = { "", "*", "!", "*0", "*1", "!!",
		"x", "!$6$salt$hash", "$9$unknown$hash", "$", "$$$", "plain",
		"$y$", "$2b$05$short", "{SHA}hash", "$6$a b$x",
		"$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA" };
	static const char *const passwords[] = { "", "*", "x", "plain", "*0",
		"*1" };
	size_t			 i, j;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (j = 0; j < sizeof(passwords) / sizeof(passwords[0]); j++)
			if (passwd_verify(passwords[j], cases[i]) ==
			    PASSWD_RIGHT)
				fail_msg("\"%s\" is right for \"%s\"",
				    passwords[j], cases[i]);
	assert_int_equal(passwd_verify("x", "*"), PASSWD_ERROR);
	assert_int_equal(passwd_verify("x", "$9$unknown$hash"), PASSWD_ERROR);
}

static void
test_cut_hash(void **state)
{
	char   hash[CRYPT_OUTPUT_SIZE];
	size_t len;

	(void)state;
	snprintf(hash, sizeof(hash), "%s", hash_of("$6$", 1000, "secret"));
	for (len = strlen(hash); len-- > 0;) {
		hash[len] = '\0';
		assert_int_not_equal(passwd_verify("secret", hash),
		    PASSWD_RIGHT);
	}
	snprintf(hash, sizeof(hash), "%sx", hash_of("$6$", 1000, "secret"));
	assert_int_not_equal(passwd_verify("secret", hash), PASSWD_RIGHT);
}

static void
test_long(void **state)
{
	char	    password[PASSWD_MAX + 100];
	const char *hash;

	(void)state;
	memset(password, 'p', sizeof(password));
	password[PASSWD_MAX - 1] = '\0';
	hash = hash_of("$6$", 1000, password);
	assert_int_equal(passwd_verify(password, hash), PASSWD_RIGHT);
	assert_non_null(passwd_check(pool, "alice", password, hash, on_result,
	    (void *)0));
	password[PASSWD_MAX - 1] = 'p';
	password[PASSWD_MAX] = '\0';
	assert_int_equal(passwd_verify(password, hash), PASSWD_WRONG);
	password[PASSWD_MAX] = 'p';
	password[sizeof(password) - 1] = '\0';
	assert_int_equal(passwd_verify(password, hash), PASSWD_WRONG);
	/* Cut to what there is room for, it must not become right. */
	assert_non_null(passwd_check(pool, "alice", password, hash, on_result,
	    (void *)1));
	unit_run_until(base, ncalled == 2);
	assert_int_equal(results[0], PASSWD_RIGHT);
	assert_int_equal(results[1], PASSWD_WRONG);
}

static void
test_pool(void **state)
{
	char password[8] = "secret", hash[CRYPT_OUTPUT_SIZE];

	(void)state;
	snprintf(hash, sizeof(hash), "%s", hash_of("$y$", 1, "secret"));
	assert_non_null(passwd_check(pool, "alice", password, hash, on_result,
	    (void *)0));
	memset(password, 'x', 6);
	assert_non_null(passwd_check(pool, "alice", password, hash, on_result,
	    (void *)1));
	/* Both were copied. */
	memset(password, 0, sizeof(password));
	memset(hash, 0, sizeof(hash));
	assert_non_null(passwd_check(pool, "alice", "secret", "*", on_result,
	    (void *)2));
	assert_int_equal(ncalled, 0);
	unit_run_until(base, ncalled == 3);
	assert_int_equal(results[0], PASSWD_RIGHT);
	assert_int_equal(results[1], PASSWD_WRONG);
	assert_int_equal(results[2], PASSWD_ERROR);
	assert_int_equal(called[0] + called[1] + called[2], 3);
}

static void
test_long_hash(void **state)
{
	char hash[CRYPT_OUTPUT_SIZE + 1];

	(void)state;
	memset(hash, 'h', sizeof(hash) - 1);
	hash[sizeof(hash) - 1] = '\0';
	assert_null(passwd_check(pool, "alice", "secret", hash, on_result,
	    (void *)0));
}

static void
test_cancel(void **state)
{
	const char	  *hash = hash_of("$6$", 5000, "secret");
	struct passwd_job *jobs[6];
	size_t		   i;

	(void)state;
	for (i = 0; i < 6; i++) {
		jobs[i] = passwd_check(pool, "alice", "secret", hash, on_result,
		    (void *)(intptr_t)i);
		assert_non_null(jobs[i]);
	}
	/* Under way, and waiting. */
	passwd_cancel(jobs[0]);
	passwd_cancel(jobs[4]);
	unit_run_until(base, ncalled == 4);
	/* All that come after have come before this one. */
	assert_non_null(passwd_check(pool, "alice", "secret", "*", on_result,
	    (void *)6));
	unit_run_until(base, called[6] == 1);
	assert_int_equal(called[0], 0);
	assert_int_equal(called[4], 0);
	assert_int_equal(called[1] + called[2] + called[3] + called[5], 4);
}

static struct passwd_job *victim;

static void
on_result_cancel(void *arg, enum passwd_result result)
{
	on_result(arg, result);
	passwd_cancel(victim);
}

/* One that is done already and whose callback is about to come. */
static void
test_cancel_from_callback(void **state)
{
	(void)state;
	tear_down(NULL);
	base = event_base_new();
	pool = passwd_pool_new(base, 1);
	assert_non_null(pool);
	assert_non_null(passwd_check(pool, "alice", "x", "*", on_result_cancel,
	    (void *)0));
	victim = passwd_check(pool, "alice", "x", "*", on_result, (void *)1);
	assert_non_null(victim);
	assert_non_null(passwd_check(pool, "alice", "x", "*", on_result,
	    (void *)2));
	unit_run_until(base, called[2] == 1);
	assert_int_equal(called[0], 1);
	assert_int_equal(called[1], 0);
}

/* As many names as it takes. */
static const char *
nth_name(size_t i)
{
	static char name[16];

	snprintf(name, sizeof(name), "user%zu", i);
	return (name);
}

static void
test_queue_full(void **state)
{
	const char *hash = hash_of("$6$", 1000, "secret");
	size_t	    i;

	(void)state;
	for (i = 0; i < PASSWD_QUEUE; i++)
		assert_non_null(passwd_check(pool, nth_name(i),
		    i % 2 ? "secret" : "other", hash, on_result,
		    (void *)(intptr_t)i));
	assert_null(passwd_check(pool, "alice", "secret", hash, on_result,
	    (void *)(intptr_t)i));
	unit_run_until(base, ncalled == PASSWD_QUEUE);
	assert_int_equal(called[i], 0);
	for (i = 0; i < PASSWD_QUEUE; i++) {
		assert_int_equal(called[i], 1);
		assert_int_equal(results[i],
		    i % 2 ? PASSWD_RIGHT : PASSWD_WRONG);
		assert_int_equal(passwd_guessed(pool, nth_name(i)), i % 2 == 0);
	}
	/* There is room again. */
	assert_non_null(passwd_check(pool, "alice", "secret", hash, on_result,
	    (void *)(intptr_t)(PASSWD_QUEUE + 1)));
	unit_run_until(base, called[PASSWD_QUEUE + 1] == 1);
}

static void
test_share(void **state)
{
	const char *hash = hash_of("$6$", 1000, "secret");
	size_t	    i;

	(void)state;
	for (i = 0; i < PASSWD_SHARE; i++)
		assert_non_null(passwd_check(pool, "alice", "secret", hash,
		    on_result, (void *)(intptr_t)i));
	assert_null(passwd_check(pool, "alice", "secret", hash, on_result,
	    (void *)(intptr_t)i));
	assert_non_null(passwd_check(pool, "bob", "secret", hash, on_result,
	    (void *)(intptr_t)(i + 1)));
	unit_run_until(base, ncalled == PASSWD_SHARE + 1);
	assert_int_equal(called[i], 0);
	assert_non_null(passwd_check(pool, "alice", "secret", hash, on_result,
	    (void *)(intptr_t)i));
	unit_run_until(base, called[i] == 1);
}

/* Who waited is let go; what is under way has its place until it is done. */
static void
test_cancelled_make_room(void **state)
{
	const char	  *hash = hash_of("$6$", 20000, "secret");
	struct passwd_job *jobs[PASSWD_SHARE];
	size_t		   i;

	(void)state;
	for (i = 0; i < PASSWD_SHARE; i++) {
		jobs[i] = passwd_check(pool, "alice", "secret", hash, on_result,
		    NULL);
		assert_non_null(jobs[i]);
	}
	assert_null(passwd_check(pool, "alice", "secret", "*", on_result,
	    NULL));
	for (i = 0; i < PASSWD_SHARE; i++)
		passwd_cancel(jobs[i]);
	for (i = 1; i <= PASSWD_SHARE / 2; i++)
		assert_non_null(passwd_check(pool, "alice", "secret", "*",
		    on_result, (void *)(intptr_t)i));
	unit_run_until(base, ncalled == PASSWD_SHARE / 2);
	assert_int_equal(called[0], 0);
}

/* The order in which jobs have come back. */
static size_t order[8], norder;

static void
on_ordered(void *arg, enum passwd_result result)
{
	order[norder++] = (size_t)(intptr_t)arg;
	on_result(arg, result);
}

/* A hash that takes about no time, and one that takes very long. */
static char quick[CRYPT_OUTPUT_SIZE], slow[CRYPT_OUTPUT_SIZE];

static int
set_up_order(void **state)
{
	norder = 0;
	snprintf(quick, sizeof(quick), "%s", hash_of("$6$", 1000, "secret"));
	snprintf(slow, sizeof(slow), "%s", hash_of("$6$", 500000, "secret"));
	return (set_up(state));
}

static struct passwd_job *
start(const char *name, const char *hash, size_t number)
{
	struct passwd_job *job = passwd_check(pool, name, "secret", hash,
	    on_ordered, (void *)(intptr_t)number);

	assert_non_null(job);
	return (job);
}

static void
guess(const char *name)
{
	size_t before = ncalled;

	assert_non_null(passwd_check(pool, name, "wrong", quick, on_result,
	    (void *)0));
	unit_run_until(base, ncalled == before + 1);
	assert_int_equal(results[0], PASSWD_WRONG);
	assert_true(passwd_guessed(pool, name));
	called[0] = 0;
	ncalled = 0;
}

/* Alice's second waits for her first: one thread is for the others. */
static void
test_one_of_a_name_at_a_time(void **state)
{
	(void)state;
	start("alice", slow, 0);
	start("alice", slow, 1);
	start("bob", quick, 2);
	start("carol", quick, 3);
	unit_run_until(base, called[1] == 1);
	assert_int_equal(norder, 4);
	assert_int_equal(order[3], 1);
}

/* Names that are guessed at come last, and leave a thread to the others. */
static void
test_guessed_come_last(void **state)
{
	(void)state;
	guess("alice");
	guess("mallory");
	assert_false(passwd_guessed(pool, "bob"));
	start("alice", slow, 0);
	start("mallory", slow, 1);
	start("bob", quick, 2);
	start("carol", quick, 3);
	unit_run_until(base, called[1] == 1);
	assert_int_equal(norder, 4);
	assert_int_equal(order[3], 1);
	assert_false(passwd_guessed(pool, "bob"));
}

/* Guesses at many names leave room for who is not guessed at. */
static void
test_guessed_leave_room(void **state)
{
	const size_t names = PASSWD_QUEUE / 2 / PASSWD_SHARE;
	size_t	     i;

	(void)state;
	for (i = 0; i <= names; i++)
		guess(nth_name(i));
	/* It holds the thread that they have. */
	start(nth_name(0), slow, 0);
	for (i = 1; i < PASSWD_QUEUE / 2; i++)
		assert_non_null(passwd_check(pool, nth_name(i % names), "wrong",
		    quick, on_result, (void *)(intptr_t)i));
	assert_null(passwd_check(pool, nth_name(names), "wrong", quick,
	    on_result, (void *)0));
	assert_non_null(passwd_check(pool, "bob", "secret", quick, on_result,
	    (void *)(intptr_t)i));
	unit_run_until(base, called[i] == 1);
	assert_int_equal(results[i], PASSWD_RIGHT);
}

/* Somebody stands still for it: it comes next, though guessed at. */
static void
test_do_next(void **state)
{
	(void)state;
	guess("alice");
	guess("mallory");
	guess("trudy");
	start("mallory", slow, 0);
	start("trudy", slow, 1);
	passwd_do_next(start("alice", quick, 2));
	unit_run_until(base, called[1] == 1);
	assert_int_equal(norder, 3);
	assert_int_equal(order[2], 1);
}

/* With jobs waiting, under way and done: each is told, nothing is left. */
static void
test_pool_free(void **state)
{
	const char *hash = hash_of("$6$", 20000, "secret");
	size_t	    i;

	(void)state;
	for (i = 0; i < 64; i++)
		assert_non_null(passwd_check(pool, nth_name(i % 8), "secret",
		    i < 8 ? "*" : hash, on_result, NULL));
	passwd_pool_free(pool);
	pool = NULL;
	assert_int_equal(ncalled, 64);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(ncalled, 64);
}

static void
test_too_many_threads(void **state)
{
	(void)state;
	assert_null(passwd_pool_new(base, 1000));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define ORDER(f) cmocka_unit_test_setup_teardown(f, set_up_order, tear_down)
		TEST(test_schemes), TEST(test_known), TEST(test_no_hash),
		TEST(test_cut_hash), TEST(test_long), TEST(test_pool),
		TEST(test_long_hash), TEST(test_cancel),
		TEST(test_cancel_from_callback), TEST(test_queue_full),
		TEST(test_share), TEST(test_cancelled_make_room),
		ORDER(test_one_of_a_name_at_a_time),
		ORDER(test_guessed_come_last), ORDER(test_guessed_leave_room),
		ORDER(test_do_next), TEST(test_pool_free),
		TEST(test_too_many_threads)
	};

	return (cmocka_run_group_tests_name("passwd", tests, NULL, NULL));
}
