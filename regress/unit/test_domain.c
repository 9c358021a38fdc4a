/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stdio.h>
#include <string.h>

#include "unit.h"

#include "domain.h"

static void
assert_alabel(const char *text, const char *expected)
{
	char out[DOMAIN_TEXT];

	if (!domain_alabel(text, strlen(text), out))
		fail_msg("\"%s\" is refused", text);
	assert_string_equal(out, expected);
}

static void
assert_refused(const char *text)
{
	char out[DOMAIN_TEXT];

	if (domain_alabel(text, strlen(text), out))
		fail_msg("\"%s\" becomes \"%s\"", text, out);
}

static void
test_length_given(void **state)
{
	char out[DOMAIN_TEXT];

	(void)state;
	assert_true(domain_alabel("ok.exampleX", 10, out));
	assert_string_equal(out, "ok.example");
}

static void
test_nul(void **state)
{
	char out[DOMAIN_TEXT];

	(void)state;
	assert_false(domain_alabel("ok.example\0", 11, out));
	assert_false(domain_alabel("ok\0.example", 11, out));
	assert_false(domain_alabel("b\xc3\xbc\0.example", 12, out));
}

static void
test_lengths(void **state)
{
	char   text[2048];
	size_t i;

	(void)state;
	memset(text, 'a', sizeof(text));
	strcpy(text + 63, ".example");
	assert_alabel(text, text);
	memset(text, 'a', sizeof(text));
	strcpy(text + 64, ".example");
	assert_refused(text);

	memset(text, 'a', sizeof(text));
	for (i = 49; i < 253; i += 50)
		text[i] = '.';
	text[253] = '\0';
	assert_alabel(text, text);
	text[253] = 'a';
	text[254] = '\0';
	assert_refused(text);
	text[254] = 'a';
	text[sizeof(text) - 1] = '\0';
	assert_refused(text);
}

static void
test_add(void **state)
{
	struct domains ds = { .n = 0 };
	char	       name[32];
	int	       i;

	(void)state;
	assert_true(domains_add(&ds, "one.example"));
	assert_true(domains_add(&ds, "two.example"));
	assert_true(domains_add(&ds, "one.example"));
	assert_int_equal(ds.n, 2);
	assert_string_equal(ds.name[0], "one.example");
	assert_string_equal(ds.name[1], "two.example");
	for (i = 2; i < DOMAINS_MAX; i++) {
		snprintf(name, sizeof(name), "d%d.example", i);
		assert_true(domains_add(&ds, name));
	}
	assert_false(domains_add(&ds, "more.example"));
	assert_true(domains_add(&ds, "one.example"));
	assert_int_equal(ds.n, DOMAINS_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_length_given),
		cmocka_unit_test(test_nul), cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_add) };

	return (cmocka_run_group_tests_name("domain", tests, NULL, NULL));
}
