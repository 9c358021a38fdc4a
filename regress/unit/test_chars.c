/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "chars.h"

#define LONGEST 70

static unsigned int
expected(int c)
{
	if (c < ' ' || c > '~')
		return (CHARS_ODD);
	return (c == '?' ? CHARS_MARK : 0);
}

/* In memory of just its size, so that a read too far is noticed. */
static void
check_look(size_t len, size_t at, int c)
{
	char *text = malloc(len);

	assert_non_null(text);
	memset(text, 'x', len);
	text[at] = (char)c;
	if (chars_look(text, len) != expected(c))
		fail_msg("byte %d at %zu of %zu", c, at, len);
	free(text);
}

static void
test_look(void **state)
{
	size_t len, at;
	int    c;

	(void)state;
	assert_int_equal(chars_look("?", 0), 0);
	for (len = 1; len < LONGEST; len++)
		for (at = 0; at < len; at++)
			for (c = 0; c <= UCHAR_MAX; c++)
				check_look(len, at, c);
}

static void
test_look_both(void **state)
{
	(void)state;
	assert_int_equal(chars_look("a?\tb", 4), CHARS_ODD | CHARS_MARK);
	assert_int_equal(chars_look("0123456789abcdef?0123456789abcde\n", 33),
	    CHARS_ODD | CHARS_MARK);
}

static void
test_word(void **state)
{
	static const struct {
		const char *text;
		int	    at; /* -1: nowhere */
	} cases[] = { { "", -1 }, { "=", -1 }, { "?", -1 }, { "=?", 0 },
		{ "?=", -1 }, { "?=?", 1 }, { "==?", 1 }, { "= ?", -1 },
		{ "a?b=?", 3 }, { "=a?=?=?", 3 }, { "x=", -1 } };
	const char *word;
	size_t	    i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		word = chars_word(cases[i].text,
		    cases[i].text + strlen(cases[i].text));
		if (word !=
		    (cases[i].at < 0 ? NULL : cases[i].text + cases[i].at))
			fail_msg("in \"%s\"", cases[i].text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_look),
		cmocka_unit_test(test_look_both), cmocka_unit_test(test_word) };

	return (cmocka_run_group_tests_name("chars", tests, NULL, NULL));
}
