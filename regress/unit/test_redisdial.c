/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <netinet/in.h>
#include <string.h>

#include "redisdial.h"
#include "unit.h"

static struct redisdial dial;

static struct resolve_address
address(uint8_t last)
{
	struct resolve_address a = { .len = sizeof(struct sockaddr_in) };
	struct sockaddr_in    *sin = (struct sockaddr_in *)&a.sa;

	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = htonl(0xc0000200 | last);
	return (a);
}

static void
take(void)
{
	const struct resolve_address all[] = { address(1), address(2),
		address(3) };

	redisdial_take(&dial, all, 3);
}

static uint8_t
next(void)
{
	const struct sockaddr_in *sin;

	assert_true(redisdial_more(&dial));
	sin = (const struct sockaddr_in *)&redisdial_next(&dial)->sa;
	return ((uint8_t)ntohl(sin->sin_addr.s_addr));
}

static int
set_up(void **state)
{
	(void)state;
	memset(&dial, 0, sizeof(dial));
	return (0);
}

/* Each is tried once, that which has served before first. */
static void
test_order(void **state)
{
	(void)state;
	assert_false(redisdial_more(&dial));
	take();
	assert_int_equal(next(), 1);
	assert_int_equal(next(), 2);
	redisdial_serves(&dial);
	assert_false(redisdial_more(&dial));
	take();
	assert_int_equal(next(), 2);
	assert_int_equal(next(), 1);
	assert_int_equal(next(), 3);
	assert_false(redisdial_more(&dial));
}

/* Of several addresses it is said which; of a host without any, why. */
static void
test_why(void **state)
{
	const struct resolve_address one = address(9);

	(void)state;
	redisdial_failed(&dial, "no such host");
	assert_string_equal(dial.why, "no such host");
	redisdial_pause(&dial);
	redisdial_take(&dial, &one, 1);
	assert_int_equal(next(), 9);
	redisdial_failed(&dial, "refused");
	assert_string_equal(dial.why, "refused");
	redisdial_pause(&dial);
	assert_string_equal(dial.why, "");
	take();
	next();
	redisdial_failed(&dial, "refused");
	next();
	redisdial_failed(&dial, "away");
	assert_string_equal(dial.why, "192.0.2.1: refused; 192.0.2.2: away");
	next();
	redisdial_serves(&dial);
	redisdial_failed(&dial, "closed");
	assert_string_equal(dial.why, "closed");
}

/* From half of it to half as much again. */
static void
check_pause(int ms)
{
	int64_t pause = redisdial_pause(&dial);

	assert_in_range(pause, ms / 2, ms + ms / 2);
	assert_false(redisdial_more(&dial));
}

static void
test_pause(void **state)
{
	int ms;

	(void)state;
	for (ms = 50; ms < 5000; ms *= 2)
		check_pause(ms);
	check_pause(5000);
	check_pause(5000);
	take();
	next();
	redisdial_serves(&dial);
	check_pause(50);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup(test_order,
						set_up),
		cmocka_unit_test_setup(test_why, set_up),
		cmocka_unit_test_setup(test_pause, set_up) };

	return (cmocka_run_group_tests_name("redisdial", tests, NULL, NULL));
}
