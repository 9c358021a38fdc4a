/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "unit.h"

#include "period.h"

static void
test_right(void **state)
{
	static const struct {
		const char *text;
		int64_t	    seconds;
	} cases[] = { { "1", 1 }, { "3600", 3600 }, { "007", 7 }, { "45s", 45 },
		{ "2m", 120 }, { "1h", 3600 }, { "1d", 86400 },
		{ "30d", 30 * 86400 }, { "2w", 14 * 86400 },
		{ "3650d", PERIOD_MAX }, { "315360000", PERIOD_MAX },
		{ "315360000s", PERIOD_MAX } };
	int64_t seconds;
	size_t	i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		seconds = -1;
		if (!period_parse(cases[i].text, &seconds))
			fail_msg("refused: %s", cases[i].text);
		assert_int_equal(seconds, cases[i].seconds);
	}
}

static void
test_wrong(void **state)
{
	static const char *const cases[] = { "", "0", "0d", "00", "h", "s",
		"-1", "+1", " 1", "1 ", "1 h", "1H", "1D", "1M", "1y", "1ms",
		"1hh", "1h1", "1.5h", "0x10", "1e3", "1,000", "315360001",
		"3651d", "522w", "87601h", "5256001m", "9223372036854775807",
		"9223372036854775808", "18446744073709551617",
		"99999999999999999999999999w", "1\xc2\xa0h" };
	int64_t			 seconds;
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		seconds = -1;
		if (period_parse(cases[i], &seconds))
			fail_msg("taken: \"%s\"", cases[i]);
		assert_int_equal(seconds, -1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_right),
		cmocka_unit_test(test_wrong) };

	return (cmocka_run_group_tests_name("period", tests, NULL, NULL));
}
