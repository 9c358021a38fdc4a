/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "netaddr.h"
#include "resolve.h"
#include "unit.h"

static struct event_base *base;
static int		  ncalled;
static char		  got[NETADDR_TEXT];
static bool		  failed;

static void
on_resolved(void *arg, const char *address, const char *error)
{
	(void)arg;
	ncalled++;
	failed = address == NULL;
	assert_true((address == NULL) != (error == NULL));
	if (address != NULL)
		snprintf(got, sizeof(got), "%s", address);
}

static int
setup(void **state)
{
	(void)state;
	ncalled = 0;
	failed = false;
	base = event_base_new();
	return (base == NULL ? -1 : 0);
}

static int
teardown(void **state)
{
	(void)state;
	event_base_free(base);
	return (0);
}

static void
test_hosts_file(void **state)
{
	(void)state;
	assert_non_null(resolve_start(base, "localhost", on_resolved, NULL));
	assert_int_equal(ncalled, 0);
	unit_run_until(base, ncalled == 1);
	assert_true(strcmp(got, "127.0.0.1") == 0 || strcmp(got, "::1") == 0);
}

static void
test_nobody(void **state)
{
	(void)state;
	assert_non_null(resolve_start(base, "no..such..host", on_resolved,
	    NULL));
	unit_run_until(base, ncalled == 1);
	assert_true(failed);
}

/* At whatever point the thread is: nothing comes, nothing is left. */
static void
test_cancel(void **state)
{
	struct resolve *r;
	int		i, n = 0;

	(void)state;
	for (i = 0; i < 200; i++) {
		r = resolve_start(base, "localhost", on_resolved, NULL);
		assert_non_null(r);
		if (i % 3 == 0) {
			n++;
			unit_run_until(base, ncalled == n);
		} else
			resolve_cancel(r);
	}
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(ncalled, n);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_hosts_file),
		TEST(test_nobody), TEST(test_cancel) };

	return (cmocka_run_group_tests_name("resolve", tests, NULL, NULL));
}
