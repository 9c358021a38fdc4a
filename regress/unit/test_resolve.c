/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <event2/event.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "resolve.h"
#include "unit.h"

static struct event_base     *base;
static int		      ncalled;
static size_t		      ngot;
static struct resolve_address got[RESOLVE_MAX];
static bool		      failed;

static void
on_resolved(void *arg, const struct resolve_address *address, size_t n,
    const char *error)
{
	(void)arg;
	ncalled++;
	failed = address == NULL;
	assert_true((address == NULL) != (error == NULL));
	ngot = n;
	if (address != NULL)
		memcpy(got, address, n * sizeof(*address));
}

/* Whether one of the addresses is this one, with the port. */
static bool
has(const char *host, const char *port)
{
	char   h[64], p[8];
	size_t i;

	for (i = 0; i < ngot; i++) {
		assert_int_equal(getnameinfo((struct sockaddr *)&got[i].sa,
				     got[i].len, h, sizeof(h), p, sizeof(p),
				     NI_NUMERICHOST | NI_NUMERICSERV),
		    0);
		if (strcmp(h, host) == 0 && strcmp(p, port) == 0)
			return (true);
	}
	return (false);
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

/* All that the hosts file of the development root has. */
static void
test_hosts_file(void **state)
{
	(void)state;
	assert_non_null(resolve_start(base, "localhost", 6379, on_resolved,
	    NULL));
	assert_int_equal(ncalled, 0);
	unit_run_until(base, ncalled == 1);
	assert_int_equal(ngot, 2);
	assert_true(has("127.0.0.1", "6379"));
	assert_true(has("::1", "6379"));
}

static void
test_numeric(void **state)
{
	(void)state;
	ngot = 1;
	assert_true(resolve_numeric("192.0.2.1", 1, got));
	assert_true(has("192.0.2.1", "1"));
	assert_true(resolve_numeric("2001:db8::1", 65535, got));
	assert_true(has("2001:db8::1", "65535"));
	assert_false(resolve_numeric("localhost", 1, got));
	assert_false(resolve_numeric("", 1, got));
}

static void
test_nobody(void **state)
{
	(void)state;
	assert_non_null(resolve_start(base, "no..such..host", 1, on_resolved,
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
		r = resolve_start(base, "localhost", 1, on_resolved, NULL);
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
		TEST(test_numeric), TEST(test_nobody), TEST(test_cancel) };

	return (cmocka_run_group_tests_name("resolve", tests, NULL, NULL));
}
