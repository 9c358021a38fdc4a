/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "redisfmt.h"

/* As hiredis writes it, within what was promised. */
static void
check(int argc, const char **argv)
{
	size_t	  size = redisfmt_size(argc, argv);
	char	 *want, *buf = malloc(size); /* a step beyond it is seen */
	long long wantlen;

	assert_non_null(buf);
	wantlen = redisFormatCommandArgv(&want, argc, argv, NULL);
	assert_true(wantlen > 0);
	assert_int_equal(redisfmt(argc, argv, buf), wantlen);
	assert_memory_equal(buf, want, (size_t)wantlen);
	redisFreeCommand(want);
	free(buf);
}

static void
test_as_hiredis_does(void **state)
{
	static char	   text[100001];
	static const char *words[] = { "PING", "", "a b\r\n\x01\xff", "GET",
		"123456789", "1234567890", "*3\r\n$3\r\n" };
	static const char *many[300];
	int		   i;

	(void)state;
	for (i = 1; i <= 7; i++)
		check(i, words);
	for (i = 0; i < 300; i++)
		many[i] = words[i % 7];
	check(300, many);
	words[0] = text;
	for (i = 1; i <= 100000; i *= 10) {
		memset(text, 'x', (size_t)i);
		check(2, words);
		text[i - 1] = '\0';
		check(2, words);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_hiredis_does)
	};

	return (cmocka_run_group_tests_name("redisfmt", tests, NULL, NULL));
}
