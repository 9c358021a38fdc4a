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
	assert_domains("a@xn--mller-kva.example", "xn--mller-kva.example");
	assert_reason("a@m\xc3\xbcller.example", REASON_FROM_ULABEL);
}

/* The addresses, separated by commas; "*" where anybody may be the author. */
static void
assert_authors(const char *value, const char *expected)
{
	struct domains ds;
	char	       found[1024] = "";
	size_t	       i, at = 0;
	enum reason    reason = parse(value, &ds);

	for (i = 0; i < ds.naddresses && at < sizeof(found); i++)
		at += (size_t)snprintf(found + at, sizeof(found) - at, "%s%s",
		    i > 0 ? "," : "", ds.address[i].text);
	if (ds.unnamed != 0)
		snprintf(found + at, sizeof(found) - at, "*");
	if (reason != REASON_NONE || strcmp(found, expected) != 0)
		fail_msg("\"%s\": \"%s\" %s, not %s", value,
		    reason_name(reason), found, expected);
}

static void
test_authors(void **state)
{
	static const char *const known[] = { "bob@one.example",
		" Bob@ONE.example ", "<bob@one.example>",
		"Bob <bob@one.example>", "\"B, Bob\" <bob@one.example>",
		"\"B (x) Bob\" <bob@one.example>",
		"\"B \\\"x\\\" \\\\\" <bob@one.example>",
		"B \"o\" b <bob@one.example>", "bob@one.example (Cron: x)",
		"B (o) b <bob@one.example>", "[B] ob <bob@one.example>",
		"M\xc3\xbcller <bob@one.example>",
		"M\xfcller <bob@one.example>", "bob@one.example,",
		"=?utf-8?Q?M=C3=BCller?= <bob@one.example>",
		"=?utf-8?Q?M_=22B=22_=28x=29?= <bob@one.example>",
		"\"eve@two.example\" <bob@one.example>" };
	static const char *const unknown[] = { "\"bob\"@one.example",
		"bob @one.example", "< bob@one.example>", ".bob@one.example",
		"(bob) bob@one.example", "Bob bob@one.example",
		"B\" <bob@one.example>", "\"Bob <bob@one.example>",
		"\"B\\\" <bob@one.example>", "\"B \\\"\" <bob@one.example>",
		"(Bob <bob@one.example>", "B: <bob@one.example>",
		"B <3 Bob <bob@one.example>", "B \\ <bob@one.example>",
		"\"B <3\" <bob@one.example>", "Bob <bob@one.example",
		"B) <bob@one.example>", "B [<bob@one.example>",
		"B] <bob@one.example>", "[B (] <bob@one.example>",
		"mailto:bob@one.example", "\"B\n b\" <bob@one.example>",
		"\xef\xbc\x82 <bob@one.example>" };
	/* To some readers only. */
	static const char *const both[] = { "=?utf-8?Q?b?=ob@one.example",
		"=?utf-8?Q?=22B?= <bob@one.example>",
		"=?utf-8?Q?B_=3C3?= <bob@one.example>" };
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		assert_authors(known[i], "bob@one.example");
	for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		assert_authors(unknown[i], "*");
	for (i = 0; i < sizeof(both) / sizeof(both[0]); i++)
		assert_authors(both[i], "bob@one.example*");
	assert_authors("bob@one.example, \"E\" <eve@two.example>",
	    "bob@one.example,eve@two.example");
	assert_authors("eve@one.example <bob@one.example>",
	    "eve@one.example,bob@one.example");
	assert_authors("=?utf-8?Q?eve=40one.example?= <bob@one.example>",
	    "bob@one.example,eve@one.example");
}

static void
test_names(void **state)
{
	static const char *const names[] = { "", "\"\"", "A", "A B", "A. B",
		"A B.", ".NET", "A & B", "o'Brien", "=", "a=b", "\"A\"",
		"\"A, B\"", "\"A\" B", "A \"B\" C", "\"a;b:c\"", "\"a\\\"b\"",
		"\"a\\\\\"", "(A)", "A (B)", "(A) B (C)", "[A] B", "A: B",
		"A; B", "\"A", "A\"", "(A", "A)", "A\\", "A <3 B", "x <",
		"=?utf-8?Q?A?=", "=?utf-8?Q?A?= =?utf-8?B?QQ==?=",
		"=?utf-8*en?Q?A?=", "\"=?utf-8?Q?A?=\"",
		"=?utf-8?Q?A B?=", "=?utf-8?Q?A?=B",
		"a=?utf-8?Q?A?=", "=?utf-8?Q?A?B?=", "=?utf-8?B?QQo=?=",
		"=?shift_jis?B?g0CDXINA?=",
		"=?iso-2022-jp?B?GyRCOzNFREJATzobKEI=?=", "=?x", "=?x?y",
		"\xc3\xbc", "\"\xc3\xbc\"", "\xf0\x9f\x8e\x81", "(\xc3\xbc)",
		"M\xfcller", "\x81", "A\n" };
	char			 value[128];
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(value, sizeof(value), "%s <a@one.example>", names[i]);
		assert_domains(value, "one.example");
	}
}

/* A quoted string may hold an address where it is all of the name. */
static void
test_quoted(void **state)
{
	static const char *const names[] = { "b@x.example", "@",
		"(b@x.example)", "B via b@x.example", "'b@x.example' via A",
		"\xc3\xbc b@x.example" };
	static const char *const odd[] = { "<b@x.example>", "b@x.example>",
		"b@x.example, B", "b@x.example; B", "b@x.example\\\"",
		"\\b@x.example", "b@x.example\n ", "\n b@x.example",
		"b@x.example\xff", "b@x.example\xef\xbc\x82",
		"b@x.example \xef\xbc\x8c", "=?utf-8?Q?b?= b@x.example" };
	char			 value[128];
	struct domains		 ds;
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(value, sizeof(value), " \"%s\"\n <a@one.example> ",
		    names[i]);
		assert_domains(value, "one.example");
		snprintf(value, sizeof(value), "\"%s\" (x) <a@one.example>",
		    names[i]);
		assert_false(parse(value, &ds) == REASON_NONE && ds.n == 1);
		snprintf(value, sizeof(value), "\"%s\" <a@one.example> x",
		    names[i]);
		assert_false(parse(value, &ds) == REASON_NONE && ds.n == 1);
	}
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		snprintf(value, sizeof(value), "\"%s\" <a@one.example>",
		    odd[i]);
		assert_false(parse(value, &ds) == REASON_NONE && ds.n == 1);
	}
}

/* What stands behind a domain must not be more of it to anybody. */
static void
test_ends(void **state)
{
	static const char *const good[] = { "", " ", "\n ", ">", " >", ">x" + 2,
		">  ", ";", " (x)", "(x)", ">;", "> (x)", "> x", ">\n x",
		"\" <b@one.example>", "\"", ")", " <b@one.example>" };
	static const char *const bad[] = { " x", "\n x", " .x", "(x) x",
		"(x(y))", "(x\\)", "(x", "\"x", ")x", ") x", ">x", ">.x",
		"> <x", "> <b@one.example>", "<x", ":", "[", "\\", "@",
		"@x.example" };
	char			 value[64];
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(value, sizeof(value), "%sa@one.example%s",
		    good[i][0] == '>' || good[i][0] == ' ' ? "A <" : "",
		    good[i]);
		if (strchr(good[i], '<') == NULL &&
		    strpbrk(good[i], "\")") == NULL)
			assert_domains(value, "one.example");
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(value, sizeof(value), "A <a@one.example%s", bad[i]);
		assert_reason(value, REASON_FROM_AMBIGUOUS);
	}
	assert_domains("\"a@one.example\" <b@one.example>", "one.example");
	assert_domains("\"A <a@one.example>\" <b@one.example>", "one.example");
	assert_domains("(a@one.example) <b@one.example>", "one.example");
	assert_domains("a@one.example <b@one.example>", "one.example");
}

static void
test_encoded_addresses(void **state)
{
	static const char *const bad[] = { "=?utf-8?Q?A", "=?utf-8?X?A?=",
		"=?utf-7?Q?A?=", "=?utf-16?B?AEA=?=", "=?cp037?Q?A?=",
		"=?utf-8?B?QQ=A?=", "=?utf-8?B?Q?=", "=?utf-8?Q?=00?=",
		"=?utf-8?Q?=1B?=", "=?utf-8?Q?A?=40x?=", "=?utf-8?Q?A?= x=40b",
		"=?utf-8?Q?=EF=BC=A0?=", "=?utf-8?Q?=EF?= =?utf-8?Q?=BC=A0?=",
		"=?euc-jp?Q?=A1=F7?=", "=?utf-8?Q?=0AFrom:?=",
		"=?utf-8?Q?=40?=", "=?utf-8?Q?b=40x?= =?utf-8?Q?.example?=",
		"=?utf-8?Q?=3D=3Futf-7=3FQ=3FA=3F=3D?=",
		"=?shift_jis?Q?=83=40?= x.example" };
	char			 value[128];
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(value, sizeof(value), "%s <a@one.example>", bad[i]);
		assert_reason(value, REASON_FROM_ENCODED);
	}
	assert_domains("=?utf-8?Q?b=40two.example?= <a@one.example>",
	    "one.example,two.example");
	assert_domains("=?utf-8?Q?=3D=3Futf-8=3FQ=3Fb=3D40two.example=3F=3D?=\n"
		       " <a@one.example>",
	    "one.example,two.example");
	assert_domains("=?shift_jis?Q?=83=40two.example?= <a@one.example>",
	    "one.example,two.example");
	assert_reason("a@one.example =?utf-8?Q?.x?=", REASON_FROM_AMBIGUOUS);
	assert_reason("a@one.example (=?utf-8?Q?=29.x?=)", REASON_FROM_ENCODED);
}

static void
test_bytes(void **state)
{
	static const char *const bad[] = { "\x01", "\x08", "\x0b", "\x0c", "\r",
		"\x1b", "\x1f", "\x7f", "\xc2\x80", "\xc2\x85", "\xc2\x9f",
		"\xe2\x80\xa8", "\xe2\x80\xa9", "\xef\xbc\xa0",
		"\xef\xb9\xab" };
	static const char *const places[] = { "%sA <a@one.example>",
		"\"A%s\" <a@one.example>", "A <a@one.example> (%s)" };
	char			 value[64];
	size_t			 i, k;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (k = 0; k < sizeof(places) / sizeof(places[0]); k++) {
			if (k == 1 && i >= 13)
				continue; /* in a quoted string it is nothing */
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
	    REASON_FROM_ADDRESS);
	assert_int_equal(ds.n, 0);
}

/* What smtpd would complete. */
static void
test_completed(void **state)
{
	(void)state;
	assert_reason("A, B <a@one.example>", REASON_FROM_COMMA);
	assert_reason("A,\n B <a@one.example>", REASON_FROM_COMMA);
	assert_reason("\"a\\\"\" <a@one.example> (\"root)",
	    REASON_FROM_ADDRESS);
	assert_reason("A", REASON_FROM_ADDRESS);
	assert_reason("A (a@one.example)", REASON_FROM_ADDRESS);
	assert_reason("\"a@one.example\"", REASON_FROM_ADDRESS);
	assert_domains("A: B, C <a@one.example>", "one.example");
	assert_domains("A (B, C) <a@one.example>,", "one.example");
}

static void
test_run_together(void **state)
{
	(void)state;
	assert_reason("A <a@one.example>\n Reply-To: b@x.example x",
	    REASON_FROM_FIELDS);
	assert_reason("a@one.example\n X-Mailer: x", REASON_FROM_FIELDS);
	assert_domains("A <a@one.example>\n X-Mailer: x", "one.example");
	assert_reason("A <a@one.example>\n Reply-To: b@x.example",
	    REASON_FROM_FIELDS);
	assert_domains("A <a@one.example>\n Reply-To: b@one.example",
	    "one.example");
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
	assert_reason(value, REASON_FROM_TOO_LONG);
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

/* As a client sends it. */
static void
take_line(struct header *h, const char *line, size_t len)
{
	char stuffed[1024];

	if (len == 0 || line[0] != '.') {
		header_line(h, line, len);
		return;
	}
	assert_true(len < sizeof(stuffed));
	stuffed[0] = '.';
	memcpy(stuffed + 1, line, len);
	header_line(h, stuffed, len + 1);
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
		take_line(&h, text, (size_t)(nl - text));
	}
	take_line(&h, text, (size_t)(end - text));
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
	assert_true(run_corpus(ORDINARY, false) >= 250);
}

static void
test_hostile(void **state)
{
	(void)state;
	assert_true(run_corpus(HOSTILE, true) >= 400);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_authors), cmocka_unit_test(test_names),
		cmocka_unit_test(test_quoted), cmocka_unit_test(test_ends),
		cmocka_unit_test(test_encoded_addresses),
		cmocka_unit_test(test_bytes), cmocka_unit_test(test_nul),
		cmocka_unit_test(test_completed),
		cmocka_unit_test(test_run_together),
		cmocka_unit_test(test_length), cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_ordinary),
		cmocka_unit_test(test_hostile) };

	return (cmocka_run_group_tests_name("from", tests, NULL, NULL));
}
