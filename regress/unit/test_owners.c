/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/* Whose messages are on their way, and that none pushes out another's. */

#include <string.h>

#include "unit.h"

#include "owners.h"

static struct owners	       *owners;
static const struct alarm_limit five = { 5, 3600 }, six = { 6, 60 };
static struct alarm_limit	limit;

static int
begin(void **state)
{
	(void)state;
	owners = owners_new();
	assert_non_null(owners);
	return (0);
}

static int
end(void **state)
{
	(void)state;
	owners_free(owners);
	return (0);
}

static const char *
settle(uint32_t msgid, size_t recipients)
{
	memset(&limit, 0, sizeof(limit));
	return (owners_settle(owners, msgid, recipients, &limit));
}

static void
test_until_all_is_known(void **state)
{
	(void)state;
	assert_null(settle(1, 1));
	owners_add(owners, 1, "alice", 3, &five);
	owners_add(owners, 2, "bob", 1, &six);
	assert_string_equal(settle(1, 1), "alice");
	assert_int_equal(limit.count, 5);
	assert_int_equal(limit.period, 3600);
	assert_string_equal(settle(2, 1), "bob");
	assert_int_equal(limit.count, 6);
	assert_int_equal(limit.period, 60);
	assert_null(settle(2, 1));
	assert_string_equal(settle(1, 2), "alice");
	assert_null(settle(1, 1));
	/* More than there were: smtpd knows best. */
	owners_add(owners, 3, "alice", 1, &five);
	assert_string_equal(settle(3, 7), "alice");
	assert_null(settle(3, 1));
	/* An id that comes again is another message's. */
	owners_add(owners, 4, "alice", 1, &five);
	owners_add(owners, 4, "bob", 2, &six);
	assert_string_equal(settle(4, 1), "bob");
}

/* Those of a flood push out each other, the oldest first. */
static void
test_a_flood(void **state)
{
	const uint32_t few = 100, flood = 200000, first = 1000;
	uint32_t       i, kept = 0;

	(void)state;
	for (i = 1; i <= few; i++)
		owners_add(owners, i, i % 2 == 0 ? "alice" : "bob", 2, &five);
	for (i = 0; i < flood; i++)
		owners_add(owners, first + i, "eve", 1, &five);
	for (i = 1; i <= few; i++)
		assert_string_equal(settle(i, 1), i % 2 == 0 ? "alice" : "bob");
	for (i = 0; i < flood; i++) {
		if (settle(first + i, 1) != NULL)
			kept++;
		else
			assert_int_equal(kept, 0);
	}
	assert_in_range(kept, 50000, 70000);
	for (i = 1; i <= few; i++)
		assert_non_null(settle(i, 1));
}

#define test(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = { test(test_until_all_is_known),
		test(test_a_flood) };

	return (cmocka_run_group_tests_name("owners", tests, NULL, NULL));
}
