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
test_ascii(void **state)
{
	char out[DOMAIN_TEXT];

	(void)state;
	assert_alabel("ok.example", "ok.example");
	assert_alabel("OK.Example", "ok.example");
	assert_alabel("a.b-c.d--e.1f.example", "a.b-c.d--e.1f.example");
	assert_alabel("1.2.3.4.x", "1.2.3.4.x");
	assert_alabel("1.2.3.0x4", "1.2.3.0x4");
	assert_true(domain_alabel("ok.exampleX", 10, out));
	assert_string_equal(out, "ok.example");
}

static void
test_refused(void **state)
{
	static const char *const texts[] = { "", ".", "example", "localhost",
		"ok.example.", ".ok.example", "ok..example", "-ok.example",
		"ok-.example", "ok.-example", "ok.example-", "ok_x.example",
		"o k.example", "ok.example ", " ok.example", "ok.example\t",
		"ok.example/x", "ok.example:25", "ok@x.example", "[192.0.2.1]",
		"192.0.2.1", "ok.123", "2001:db8::1", "ok.ex*mple",
		"\"ok\".example", "ok.example\\", "ok.example%", "ok.example\n",
		"ok\r.example" };
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_refused(texts[i]);
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
test_idn(void **state)
{
	(void)state;
	assert_alabel("b\xc3\xbc"
		      "cher.example",
	    "xn--bcher-kva.example");
	assert_alabel("B\xc3\x9c"
		      "CHER.example",
	    "xn--bcher-kva.example");
	assert_alabel("bu\xcc\x88"
		      "cher.EXAMPLE",
	    "xn--bcher-kva.example");
	assert_alabel("xn--bcher-kva.example", "xn--bcher-kva.example");
	assert_alabel("XN--BCHER-KVA.Example", "xn--bcher-kva.example");
	assert_alabel("x.b\xc3\xbc"
		      "cher.example",
	    "x.xn--bcher-kva.example");
	assert_alabel("\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80."
		      "\xd1\x80\xd1\x84",
	    "xn--e1afmkfd.xn--p1ai");
	assert_alabel("xn--fa-hia.example", "xn--fa-hia.example");
}

/* Other labels look alike, but are others. */
static void
test_idn_others(void **state)
{
	(void)state;
	assert_alabel("\xd0\xbek.example", "xn--k-0tb.example");
	assert_alabel("\xc3\xb3k.example", "xn--k-uga.example");
}

/* What some readers map or drop, and others take as it is. */
static void
test_idn_refused(void **state)
{
	static const char *const texts[] = { "ok\xc2\xad.example",
		"o\xe2\x80\x8bk.example", "\xef\xbb\xbfok.example",
		"ok.example\xc2\xad",
		"b\xc3\xbc\xc2\xad"
		"cher.example",
		"ok\xe3\x80\x82"
		"example",
		"ok\xef\xbc\x8e"
		"example",
		"\xef\xbd\x8f\xef\xbd\x8b.example", "\xe2\x93\x9ek.example",
		"ok\xc2\xa0.example", "ok.example\xe3\x80\x80",
		"ok.example\xef\xbc\x8f"
		"x",
		"\xe2\x84\x80.example", "\xe2\x98\xba.example",
		"\xcc\x88k.example", "o\xe2\x80\xaek.example",
		"o\xe2\x80\x8dk.example",
		/* IDNA2003 had another domain for each of these. */
		"fa\xc3\x9f.example", "fa\xe1\xba\x9e.example",
		"\xce\xbf\xce\xb4\xce\xbf\xcf\x82.example",
		"\xe0\xa4\x95\xe0\xa5\x8d\xe2\x80\x8d\xe0\xa4\xb7.example" };
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_refused(texts[i]);
}

/* A-labels that no U-label gives. */
static void
test_alabels_refused(void **state)
{
	(void)state;
	assert_refused("xn--a.example");
	assert_refused("xn--.example");
	assert_refused("xn--ok-.example");
	assert_refused("xn--bcher-kvb-.example");
	assert_refused("xn--\xc3\xbc.example");
	assert_refused("xn--zzzzzzzzzzzzzzz.example");
	assert_refused("ok.xn--a");
}

static void
test_bad_utf8(void **state)
{
	static const char *const texts[] = { "b\xfc"
					     "cher.example",
		"ok.example\xc3", "\x80ok.example", "\xc0\xafok.example",
		"\xed\xa0\x80ok.example", "\xf4\x90\x80\x80ok.example" };
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_refused(texts[i]);
}

/* A long U-label is longer yet as an A-label, and the whole name too. */
static void
test_idn_lengths(void **state)
{
	char text[1024] = "";
	int  i;

	(void)state;
	for (i = 0; i < 57; i++)
		strcat(text, "a");
	strcat(text, "\xc3\xbc.example");
	assert_refused(text);
	text[0] = '\0';
	for (i = 0; i < 60; i++)
		strcat(text, "\xc3\xbc.");
	strcat(text, "example");
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
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_ascii),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_nul),
		cmocka_unit_test(test_lengths), cmocka_unit_test(test_idn),
		cmocka_unit_test(test_idn_others),
		cmocka_unit_test(test_idn_refused),
		cmocka_unit_test(test_alabels_refused),
		cmocka_unit_test(test_bad_utf8),
		cmocka_unit_test(test_idn_lengths),
		cmocka_unit_test(test_add) };

	return (cmocka_run_group_tests_name("domain", tests, NULL, NULL));
}
