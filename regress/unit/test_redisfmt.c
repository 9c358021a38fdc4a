/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "redisfmt.h"

/* As hiredis writes it, with a buffer of any size. */
static void
check(int argc, const char **argv)
{
	char	 *buf, *got, *want;
	size_t	  size, len = 0;
	long long wantlen;

	wantlen = redisFormatCommandArgv(&want, argc, argv, NULL);
	assert_true(wantlen > 0);
	for (size = 1; size < 256; size++) {
		/* Alone in its memory, a step beyond it is seen. */
		buf = malloc(size);
		assert_non_null(buf);
		got = redisfmt(argc, argv, buf, size, &len);
		assert_non_null(got);
		assert_int_equal(len, wantlen);
		assert_memory_equal(got, want, len);
		if (got != buf)
			free(got);
		free(buf);
	}
	redisFreeCommand(want);
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
