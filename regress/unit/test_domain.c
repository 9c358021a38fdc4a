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
	assert_true(domains_add(&ds, "one.example", NULL, 0));
	assert_true(domains_add(&ds, "two.example", NULL, 0));
	assert_true(domains_add(&ds, "one.example", NULL, 0));
	assert_int_equal(ds.n, 2);
	assert_string_equal(ds.name[0], "one.example");
	assert_string_equal(ds.name[1], "two.example");
	for (i = 2; i < DOMAINS_MAX; i++) {
		snprintf(name, sizeof(name), "d%d.example", i);
		assert_true(domains_add(&ds, name, NULL, 0));
	}
	assert_false(domains_add(&ds, "more.example", NULL, 0));
	assert_true(domains_add(&ds, "one.example", NULL, 0));
	assert_int_equal(ds.n, DOMAINS_MAX);
}

static void
add(struct domains *ds, const char *local, const char *domain)
{
	assert_true(domains_add(ds, domain, local, strlen(local)));
}

/* What is no dot-atom is anybody of the domain. */
static void
test_add_address(void **state)
{
	static const char *const others[] = { "", ".a", "a.", "a..b", "a b",
		"\"a\"", "a@b", "a\\b", "a,b", "a(b", "a<b", "\xc3\xa4", "a\nb",
		"a:b" };
	static const char	 longest[] = "0123456789abcdef0123456789abcdef"
					     "0123456789abcdef0123456789abcdef";
	struct domains		 ds = { .n = 0 };
	char			 text[ADDRESS_TEXT];
	size_t			 i;

	(void)state;
	add(&ds, "Bob", "one.example");
	add(&ds, "bob", "one.example");
	add(&ds, "bob", "two.example");
	add(&ds, "!#$%&'*+-/=?^_`{|}~.9", "two.example");
	assert_int_equal(ds.n, 2);
	assert_int_equal(ds.unnamed, 0);
	assert_int_equal(ds.naddresses, 3);
	assert_string_equal(ds.address[0].text, "bob@one.example");
	assert_int_equal(ds.address[0].domain, 0);
	assert_string_equal(ds.address[1].text, "bob@two.example");
	assert_string_equal(ds.address[2].text,
	    "!#$%&'*+-/=?^_`{|}~.9@two.example");
	assert_int_equal(ds.address[2].domain, 1);
	add(&ds, longest, "three.example");
	snprintf(text, sizeof(text), "%s@three.example", longest);
	assert_string_equal(ds.address[3].text, text);
	assert_true(domains_add(&ds, "four.example", NULL, 0));
	assert_int_equal(ds.unnamed, 8);
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		domains_clear(&ds);
		add(&ds, "a", "one.example");
		add(&ds, others[i], "two.example");
		assert_int_equal(ds.n, 2);
		assert_int_equal(ds.unnamed, 2);
		assert_int_equal(ds.naddresses, 1);
	}
	domains_clear(&ds);
	snprintf(text, sizeof(text), "%sa", longest);
	add(&ds, text, "one.example");
	assert_int_equal(ds.unnamed, 1);
}

/* Those for which there is no room are anybody, too. */
static void
test_many_addresses(void **state)
{
	struct domains ds = { .n = 0 };
	char	       local[16];
	int	       i;

	(void)state;
	add(&ds, "a", "one.example");
	for (i = 1; i < ADDRESSES_MAX; i++) {
		snprintf(local, sizeof(local), "a%d", i);
		add(&ds, local, "two.example");
	}
	assert_int_equal(ds.unnamed, 0);
	add(&ds, "a1", "two.example");
	assert_int_equal(ds.unnamed, 0);
	add(&ds, "b", "two.example");
	assert_int_equal(ds.naddresses, ADDRESSES_MAX);
	assert_int_equal(ds.unnamed, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_length_given),
		cmocka_unit_test(test_nul), cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_add), cmocka_unit_test(test_add_address),
		cmocka_unit_test(test_many_addresses) };

	return (cmocka_run_group_tests_name("domain", tests, NULL, NULL));
}
