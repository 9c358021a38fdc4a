/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "from.h"
#include "header.h"

#define ORDINARY "regress/from/ordinary.txt"
#define HOSTILE "regress/from/hostile.txt"

static enum reason
parse(const char *value, struct domains *ds)
{
	size_t len = strlen(value);
	/* Of just that size, so that reading past the end is noticed. */
	char	   *copy = malloc(len > 0 ? len : 1);
	enum reason reason;

	assert_non_null(copy);
	memcpy(copy, value, len);
	ds->n = 0;
	reason = from_parse(copy, len, ds);
	free(copy);
	return (reason);
}

static void
assert_reason(const char *value, enum reason expected)
{
	struct domains ds;
	enum reason    reason = parse(value, &ds);

	if (reason != expected)
		fail_msg("\"%s\": \"%s\", not \"%s\"", value,
		    reason_name(reason), reason_name(expected));
}

/* The domains, separated by commas. */
static void
join(const struct domains *ds, char *buf, size_t size)
{
	size_t i, at = 0;

	buf[0] = '\0';
	for (i = 0; i < ds->n && at < size; i++)
		at += (size_t)snprintf(buf + at, size - at, "%s%s",
		    i > 0 ? "," : "", ds->name[i]);
}

static void
assert_domains(const char *value, const char *expected)
{
	struct domains ds;
	char	       found[DOMAINS_MAX * DOMAIN_TEXT];
	enum reason    reason = parse(value, &ds);

	join(&ds, found, sizeof(found));
	if (reason != REASON_NONE || strcmp(found, expected) != 0)
		fail_msg("\"%s\": \"%s\" %s, not %s", value,
		    reason_name(reason), found, expected);
}

static void
test_addresses(void **state)
{
	(void)state;
	assert_domains("a@one.example", "one.example");
	assert_domains("<a@one.example>", "one.example");
	assert_domains(" \t<a@one.example>\t ", "one.example");
	assert_domains("A <a@ONE.example>", "one.example");
	assert_domains("a!#$%&'*+-/?=^_`{|}~b@one.example", "one.example");
	assert_domains("a@one.example,b@two.example",
	    "one.example,two.example");
	assert_domains("a@one.example , B <b@two.example> , c@one.example",
	    "one.example,two.example");
	assert_domains("a@one.example <b@two.example>",
	    "one.example,two.example");
	assert_domains("a@m\xc3\xbcller.example", "xn--mller-kva.example");
}

static void
test_names(void **state)
{
	static const char *const names[] = { "", "\"\"", "A", "A B", "A. B",
		"A B.", ".NET", "A & B", "o'Brien", "=", "a=b", "\"A\"",
		"\"A, B\"", "\"A\" B", "A \"B\" C", "\"a@x.example\"",
		"\"<a@x.example>,\"", "\"(a@x.example)\"", "\"a;b:c\"",
		"\"a\\\"b\"", "\"a\\\\\"", "(A)", "A (B)", "(A) B (C)",
		"(A \"B\")", "=?utf-8?Q?A?=", "=?utf-8?Q?A?= =?utf-8?B?QQ==?=",
		"=?utf-8*en?Q?A?=", "\"=?utf-8?Q?A?=\"",
		"=?x?q?"
		"?=",
		"\xc3\xbc", "\"\xc3\xbc\"", "\xf0\x9f\x8e\x81", "(\xc3\xbc)" };
	char			 value[128];
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(value, sizeof(value), "%s <a@one.example>", names[i]);
		assert_domains(value, "one.example");
		snprintf(value, sizeof(value),
		    "b@two.example, %s <a@one.example>", names[i]);
		if (strchr(names[i], '@') == NULL)
			assert_domains(value, "two.example,one.example");
	}
}

/* What alone would pass, but leads some reader to text that is hidden. */
static void
test_hidden(void **state)
{
	static const char *const odd[] = { "\"a\\\"b\"", "\"a\\\\\"", "(A)",
		"\"A\" B", ".NET", "A (\")" };
	char			 value[256];
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		snprintf(value, sizeof(value),
		    "%s <a@one.example>, "
		    "\"b@x.example\" <b@one.example>",
		    odd[i]);
		assert_reason(value, REASON_FROM_AMBIGUOUS);
		snprintf(value, sizeof(value),
		    "\"<b\" <b@one.example>, "
		    "%s <a@one.example>",
		    odd[i]);
		assert_reason(value, REASON_FROM_AMBIGUOUS);
		snprintf(value, sizeof(value),
		    "\"b>\" <b@one.example>, "
		    "%s <a@one.example>",
		    odd[i]);
		assert_reason(value, REASON_FROM_AMBIGUOUS);
		snprintf(value, sizeof(value),
		    "\"b\" <b@one.example>, "
		    "%s <a@one.example>",
		    odd[i]);
		assert_domains(value, "one.example");
	}
	assert_reason("\"\\@\" <a@one.example>", REASON_FROM_AMBIGUOUS);
	assert_reason("\"@\" A <a@one.example>", REASON_FROM_AMBIGUOUS);
	assert_reason("A \"@\" <a@one.example>", REASON_FROM_AMBIGUOUS);
	assert_reason("\"@\" \"\" <a@one.example>", REASON_FROM_AMBIGUOUS);
	assert_reason("(@) <a@one.example>", REASON_FROM_AMBIGUOUS);
	assert_reason("a@one.example (<)", REASON_FROM_AMBIGUOUS);
	assert_reason("a@one.example (>)", REASON_FROM_AMBIGUOUS);
	assert_reason("a@one.example (a\\b)", REASON_FROM_AMBIGUOUS);
	assert_reason("a@one.example (a(b))", REASON_FROM_AMBIGUOUS);
}

/* An unquoted address in a name stands alone or not at all. */
static void
test_address_as_name(void **state)
{
	static const char *const names[] = { "A b@two.example",
		"b@two.example A", "b@two.example .", "b@two.example -",
		"b@two.example (A)", "(A) b@two.example \"B\"",
		"\"A\" b@two.example", "b@two.example b@two.example" };
	char			 value[128];
	size_t			 i;

	(void)state;
	assert_domains("b@two.example <a@one.example>",
	    "two.example,one.example");
	assert_domains("\tb@two.example\t<a@one.example>",
	    "two.example,one.example");
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(value, sizeof(value), "%s <a@one.example>", names[i]);
		assert_reason(value, REASON_FROM_AMBIGUOUS);
	}
}

/* A byte that no reader can be trusted with, in each place. */
static void
test_bytes(void **state)
{
	static const char *const bad[] = { "\x01", "\x08", "\n", "\x0b", "\x0c",
		"\r", "\x1b", "\x1f", "\x7f", "\xc2\x80", "\xc2\x85",
		"\xc2\x9f", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xff", "\x80",
		"\xc0\x80", "\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80" };
	static const char *const places[] = { "%sA <a@one.example>",
		"\"A%s\" <a@one.example>", "A <a@one.example> (%s)",
		"A <a%s@one.example>", "a@one.example%s" };
	char			 value[64];
	size_t			 i, k;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (k = 0; k < sizeof(places) / sizeof(places[0]); k++) {
			snprintf(value, sizeof(value), places[k], bad[i]);
			assert_reason(value, REASON_FROM_AMBIGUOUS);
		}
	}
	assert_domains("A\xc2\xa0\xe2\x80\xa7 <a@one.example>", "one.example");
}

static void
test_nul(void **state)
{
	static const char value[] = "a@one.example\0.example";
	struct domains	  ds = { .n = 0 };

	(void)state;
	assert_int_equal(from_parse(value, sizeof(value) - 1, &ds),
	    REASON_FROM_AMBIGUOUS);
	assert_int_equal(from_parse("a@one.example", 0, &ds),
	    REASON_FROM_AMBIGUOUS);
	assert_int_equal(ds.n, 0);
}

static void
test_encoded_words(void **state)
{
	static const char *const bad[] = { "=?", "?==?", "=?utf-8?",
		"=?utf-8?Q", "=?utf-8?Q?", "=?utf-8?Q?A", "=?utf-8?Q?A?",
		"=?utf-8?Q?A=", "=?utf-8?X?A?=", "=?utf-8?QQ?A?=", "=??Q?A?=",
		"x=?utf-8?Q?A?=", "=?utf-8?Q?A?=x",
		"=?utf-8?Q?A?B?=", "=?utf-8?Q?A?==?utf-8?Q?A?=" };
	char			 value[64];
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(value, sizeof(value), "%s <a@one.example>", bad[i]);
		assert_reason(value, REASON_FROM_AMBIGUOUS);
	}
}

static void
test_length(void **state)
{
	char value[FROM_MAX + 2];

	(void)state;
	memset(value, ' ', sizeof(value));
	memcpy(value, "a@one.example", 13);
	value[FROM_MAX] = '\0';
	assert_domains(value, "one.example");
	value[FROM_MAX] = ' ';
	value[FROM_MAX + 1] = '\0';
	assert_reason(value, REASON_FROM_LONG);
}

static void
test_too_many(void **state)
{
	char value[1024] = "a@d0.example";
	char more[32];
	int  i;

	(void)state;
	for (i = 1; i < DOMAINS_MAX; i++) {
		snprintf(more, sizeof(more), ", a@d%d.example", i);
		strcat(value, more);
	}
	assert_reason(value, REASON_NONE);
	strcat(value, ", b@D0.EXAMPLE");
	assert_reason(value, REASON_NONE);
	strcat(value, ", a@one.example");
	assert_reason(value, REASON_FROM_AMBIGUOUS);
}

static size_t
unescape(char *text)
{
	char *in = text, *out = text, byte[3] = "";

	for (; *in != '\0' && *in != '\n'; in++) {
		if (*in != '\\') {
			*out++ = *in;
			continue;
		}
		switch (*++in) {
		case 'x':
			memcpy(byte, in + 1, 2);
			*out++ = (char)strtol(byte, NULL, 16);
			in += 2;
			break;
		case 'n':
			*out++ = '\n';
			break;
		case 'r':
			*out++ = '\r';
			break;
		case 't':
			*out++ = '\t';
			break;
		default:
			*out++ = *in;
		}
	}
	return ((size_t)(out - text));
}

static enum reason
judge_section(const char *text, size_t len, struct domains *ds)
{
	struct header h = { .done = false };
	const char   *end = text + len, *nl;
	enum reason   reason;

	for (;; text = nl + 1) {
		nl = memchr(text, '\n', (size_t)(end - text));
		if (nl == NULL)
			break;
		header_line(&h, text, (size_t)(nl - text));
	}
	header_line(&h, text, (size_t)(end - text));
	header_line(&h, "", 0);
	ds->n = 0;
	reason = header_domains(&h, ds);
	header_clear(&h);
	return (reason);
}

/* As the sender of the corpus is judged, who has these domains. */
static bool
allowed(const struct domains *ds)
{
	static const char *const own[] = { "ok.example", "ok2.example",
		"xn--bcher-kva.example" };
	size_t			 i, k;

	for (i = 0; i < ds->n; i++) {
		for (k = 0; k < 3 && strcmp(own[k], ds->name[i]) != 0; k++)
			continue;
		if (k == 3)
			return (false);
	}
	return (true);
}

/* Judges each entry, and counts. */
static size_t
run_corpus(const char *path, bool hostile)
{
	struct domains ds;
	char	      *line = NULL, *tab, found[DOMAINS_MAX * DOMAIN_TEXT];
	const char    *got;
	enum reason    reason;
	size_t	       n = 0, size = 0;
	FILE	      *fp = fopen(path, "r");

	if (fp == NULL)
		fail_msg("%s: cannot open", path);
	while (getline(&line, &size, fp) != -1) {
		if (line[0] == '#' || (tab = strchr(line, '\t')) == NULL)
			continue;
		*tab++ = '\0';
		reason = judge_section(tab, unescape(tab), &ds);
		join(&ds, found, sizeof(found));
		got = reason_name(reason);
		if (reason == REASON_NONE && hostile && !allowed(&ds))
			got = "domain-not-assigned";
		else if (reason == REASON_NONE && !hostile)
			got = found;
		if (strcmp(got, line) != 0)
			fail_msg("%s: %s\n\"%s\", not \"%s\"", path, tab, got,
			    line);
		n++;
	}
	free(line);
	fclose(fp);
	return (n);
}

static void
test_ordinary(void **state)
{
	(void)state;
	assert_true(run_corpus(ORDINARY, false) >= 60);
}

static void
test_hostile(void **state)
{
	(void)state;
	assert_true(run_corpus(HOSTILE, true) >= 60);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_names), cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_address_as_name),
		cmocka_unit_test(test_bytes), cmocka_unit_test(test_nul),
		cmocka_unit_test(test_encoded_words),
		cmocka_unit_test(test_length), cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_ordinary),
		cmocka_unit_test(test_hostile) };

	return (cmocka_run_group_tests_name("from", tests, NULL, NULL));
}
