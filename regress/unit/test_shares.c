/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "shares.h"

static struct shares	 *shares;
static struct shares_item items[2000];

static int
set_up(void **state)
{
	(void)state;
	shares = shares_new();
	assert_non_null(shares);
	return (0);
}

static int
tear_down(void **state)
{
	struct shares_item *item;

	(void)state;
	while ((item = shares_surplus(shares)) != NULL)
		shares_remove(shares, item);
	assert_int_equal(shares_bytes(shares), 0);
	shares_free(shares);
	return (0);
}

static void
add(const char *user, size_t i, size_t bytes)
{
	assert_true(shares_add(shares, user, &items[i], bytes));
}

static void
test_the_oldest_of_who_holds_most(void **state)
{
	size_t i;

	(void)state;
	assert_null(shares_surplus(shares));
	add("bob", 0, 10);
	assert_ptr_equal(shares_surplus(shares), &items[0]);
	assert_string_equal(shares_user(&items[0]), "bob");
	for (i = 1; i < 1000; i++)
		add("eve", i, 10);
	add("carol", 1000, 500);
	assert_int_equal(shares_bytes(shares), 10 + 9990 + 500);
	for (i = 1; i < 900; i++) {
		assert_ptr_equal(shares_surplus(shares), &items[i]);
		shares_remove(shares, &items[i]);
	}
	/* By now carol holds about as much; bob is far from that. */
	while (shares_bytes(shares) > 100) {
		assert_ptr_not_equal(shares_surplus(shares), &items[0]);
		shares_remove(shares, shares_surplus(shares));
	}
}

static void
test_out_of_order(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < 100; i++)
		add(i % 2 == 0 ? "bob" : "eve", i, i);
	for (i = 100; i-- > 50;)
		shares_remove(shares, &items[i]);
	for (i = 0; i < 50; i += 2)
		shares_remove(shares, &items[i]);
	for (i = 1; i < 50; i += 2) {
		assert_ptr_equal(shares_surplus(shares), &items[i]);
		shares_remove(shares, &items[i]);
	}
	assert_null(shares_surplus(shares));
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_the_oldest_of_who_holds_most), test(test_out_of_order)
	};

	return (cmocka_run_group_tests_name("shares", tests, NULL, NULL));
}
