/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "unit.h"

#include "body.h"

static bool
hides(const char *line)
{
	return (body_hides_end(line, strlen(line)));
}

static void
test_hidden(void **state)
{
	static const char *const lines[] = { "x\r.\rMAIL FROM:<a@b>", "x\r.",
		".\rx", "\r.\r", "\r.", ".\r", "\r\r.\r\r", "a\rb\r.\rc",
		"..\r.\r" };
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!hides(lines[i]))
			fail_msg("%zu is taken", i);
}

static void
test_harmless(void **state)
{
	static const char *const lines[] = { "", ".", "..", "x", "\r", "x\r",
		"\rx", "x.\r", "x\r..", "\r.x\r", "\rx.\r", "a\rb.c\rd",
		"100%\r", "..\r" };
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (hides(lines[i]))
			fail_msg("%zu is refused", i);
}

/* A line is no string: what stands behind it is not looked at. */
static void
test_bounds(void **state)
{
	(void)state;
	assert_false(body_hides_end("x\r.\r", 2));
	assert_true(body_hides_end("x\r.y", 3));
	assert_false(body_hides_end(".\r", 1));
	assert_false(body_hides_end("\r.", 0));
	assert_true(body_hides_end("\0\r.\r", 4));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_harmless),
		cmocka_unit_test(test_bounds) };

	return (cmocka_run_group_tests_name("body", tests, NULL, NULL));
}
