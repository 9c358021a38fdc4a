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

static struct header  h;
static struct domains ds;

static int
clear(void **state)
{
	static const struct header zero;

	(void)state;
	header_clear(&h);
	assert_memory_equal(&h, &zero, sizeof(h));
	ds.n = 0;
	return (0);
}

/* As it would come: of just that size, so that a read too far is noticed. */
static void
line_of(const char *text, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	header_line(&h, copy, len);
	free(copy);
}

static void
line(const char *text)
{
	line_of(text, strlen(text));
}

static enum reason
judge(void)
{
	ds.n = 0;
	return (header_domains(&h, &ds));
}

static void
assert_passes(const char *domain)
{
	assert_string_equal(reason_name(judge()), "");
	assert_int_equal(ds.n, 1);
	assert_string_equal(ds.name[0], domain);
}

static void
assert_reason(enum reason reason)
{
	assert_string_equal(reason_name(judge()), reason_name(reason));
	ds.n = 0;
}

static void
test_plain(void **state)
{
	(void)state;
	assert_reason(REASON_FROM_MISSING);
	line("Received: from x");
	line("\tby y");
	assert_reason(REASON_FROM_MISSING);
	line("fRoM:a@one.example");
	assert_passes("one.example");
	line("To: b@two.example");
	line(" (x)");
	line("");
	assert_passes("one.example");
}

static void
test_body(void **state)
{
	(void)state;
	line("From: a@one.example");
	assert_false(h.done);
	line("");
	assert_true(h.done);
	line("From: a@two.example");
	line("no field");
	line_of("\r\0", 2);
	line(" <a@two.example>");
	assert_passes("one.example");
}

static void
test_body_alone(void **state)
{
	(void)state;
	line("");
	line("From: a@one.example");
	assert_reason(REASON_FROM_MISSING);
}

static void
test_folds(void **state)
{
	(void)state;
	line("From:");
	line(" \"A,");
	line("\tB\"");
	line(" <a@one.example>");
	line("Subject: x");
	line(" <b@two.example>");
	assert_passes("one.example");
	assert_int_equal(h.fromlen, strlen("\n \"A,\n\tB\"\n <a@one.example>"));
	assert_memory_equal(h.from, "\n \"A,\n\tB\"\n <a@one.example>",
	    h.fromlen);
}

static void
test_blank_fold(void **state)
{
	static const char *const blanks[] = { " ", "\t", " \t " };
	size_t			 i;

	(void)state;
	for (i = 0; i < 3; i++) {
		line("From: a@one.example");
		line(blanks[i]);
		line(" .two.example");
		assert_reason(REASON_FROM_AMBIGUOUS);
		header_clear(&h);
		line("From: a@one.example");
		line(blanks[i]);
		assert_passes("one.example");
		header_clear(&h);
	}
}

static void
test_empty_value(void **state)
{
	(void)state;
	line("From:");
	assert_reason(REASON_FROM_ADDRESS);
	header_clear(&h);
	line("From: ");
	assert_reason(REASON_FROM_ADDRESS);
}

static void
test_dots(void **state)
{
	(void)state;
	line("..X: y");
	assert_reason(REASON_FROM_MISSING);
	line(".From: a@one.example");
	assert_passes("one.example");
	header_clear(&h);

	line("From: a@one.example");
	line(". .two.example");
	assert_reason(REASON_FROM_AMBIGUOUS);
	header_clear(&h);

	line("..From: a@one.example");
	assert_reason(REASON_HEADER_NAME);
	header_clear(&h);

	line("From: a@one.example");
	line(".");
	assert_true(h.done);
}

static void
test_several(void **state)
{
	(void)state;
	line("From: a@one.example");
	line("Subject: x");
	line("FROM: a@one.example");
	line(" garbage");
	assert_reason(REASON_FROM_MULTIPLE);
	/* The first is kept, for the report. */
	assert_int_equal(h.fromlen, strlen(" a@one.example"));
}

static void
test_space(void **state)
{
	static const char *const names[] = {
		"From : ", "From\t: ", "from \t :"
	};
	char   text[64];
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "%sa@one.example", names[i]);
		line(text);
		assert_reason(REASON_FROM_SPACE);
		header_clear(&h);
		line("From: a@one.example");
		line(text);
		assert_int_not_equal(judge(), REASON_NONE);
		header_clear(&h);
	}
	line("Subject : x");
	line("From: a@one.example");
	assert_passes("one.example");
}

static void
test_malformed(void **state)
{
	static const char *const lines[] = { "no field", "From",
		"From a@two.example", "From x: a@two.example", ": x",
		"Fr\xc3\xb6m: x",
		"\xef\xbb\xbf"
		"From: a@two.example",
		"From\xc2\xa0: a@two.example", "From\x0b: a@two.example",
		"From\x7f: a@two.example" };
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		line("From: a@one.example");
		line(lines[i]);
		assert_reason(REASON_HEADER_MALFORMED);
		header_clear(&h);
		line(lines[i]);
		line("From: a@one.example");
		assert_reason(REASON_HEADER_MALFORMED);
		header_clear(&h);
	}
}

/* Names that only look like it. */
static void
test_other_names(void **state)
{
	(void)state;
	line("Fro: a@two.example");
	line("Froma: a@two.example");
	line("X-From: a@two.example");
	line("Resent-From: a@two.example");
	line("Sender: a@two.example");
	assert_reason(REASON_FROM_MISSING);
	line("From: a@one.example");
	assert_passes("one.example");
}

/* What some would take for it. */
static void
test_names_like_it(void **state)
{
	static const char *const names[] = { ">From", "From>", ")From", "From)",
		"(x)From", "Fr(x)om", "\"From\"", "F.r.o.m", "From*", "-From",
		"From-", "FROM1", "_f_r_o_m_", "=?us-ascii?Q?From?=",
		"=?us-ascii?B?RnJvbQ==?=", "X-From=?a?q?b?=" };
	static const char *const others[] = { "X-From", "X-Spam/Status",
		"X-Mail.ID", "X_FROM", "List-Post!", "X-From-1", "Form" };
	char			 text[64];
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		line("From: a@one.example");
		snprintf(text, sizeof(text), "%s: x", names[i]);
		line(text);
		assert_reason(REASON_HEADER_NAME);
		header_clear(&h);
	}
	line("From: a@one.example");
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		snprintf(text, sizeof(text), "%s: x", others[i]);
		line(text);
	}
	assert_passes("one.example");
}

/* Behind what is the end of a line to some readers, in any field. */
static void
test_hidden_from(void **state)
{
	static const char *const ends[] = { "\x0b", "\x0c", "\x1c", "\x1d",
		"\x1e", "\xc2\x85", "\x85", "\xe2\x80\xa8", "\xe2\x80\xa9",
		"=?utf-8?Q?=0A?=", "=?utf-8?Q?=0D=0A_?=", "=?utf-8?B?DQo=?=" };
	char			 text[64];
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		line("From: a@one.example");
		snprintf(text, sizeof(text), "Subject: x%s From : y", ends[i]);
		line(text);
		assert_reason(REASON_HEADER_HIDDEN_FROM);
		header_clear(&h);
		line("From: a@one.example");
		snprintf(text, sizeof(text), "Subject: x%s", ends[i]);
		line(text);
		assert_passes("one.example");
		line(" fr");
		line("To: om: y");
		assert_passes("one.example");
		snprintf(text, sizeof(text), "Subject: x%sFr", ends[i]);
		line(text);
		line(" =?utf-8?Q?om:?=");
		assert_reason(REASON_HEADER_HIDDEN_FROM);
		header_clear(&h);
	}
	line("From: a@one.example");
	line("Subject: From: y\tFrom: z =?utf-8?Q?=3F_From:?=");
	assert_passes("one.example");
}

static void
test_control(void **state)
{
	static const struct {
		const char *text;
		size_t	    len;
	} lines[] = { { "Subject: x\rFrom: a@two.example", 31 },
		{ "Subject: x\r", 11 }, { "Subject: x\0y", 12 },
		{ "Subject\r: x", 11 }, { " x\0", 3 }, { "\r", 1 },
		{ "\0", 1 } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		line("From: a@one.example");
		line_of(lines[i].text, lines[i].len);
		assert_reason(REASON_HEADER_CONTROL);
		header_clear(&h);
	}
}

/* The first thing wrong is told, whatever comes after. */
static void
test_first_reason(void **state)
{
	(void)state;
	line("no field");
	line("From : a@one.example");
	line("From: a@one.example");
	line_of("\r", 1);
	assert_reason(REASON_HEADER_MALFORMED);
}

static void
test_long(void **state)
{
	size_t i;

	(void)state;
	line("From:a@one.example");
	while (h.fromlen + 5 <= FROM_MAX)
		line(" (x)");
	assert_passes("one.example");
	line(" (x)");
	assert_reason(REASON_FROM_TOO_LONG);
	for (i = 0; i < 100000; i++)
		line(" (x)");
	assert_true(h.fromsize <= FROM_MAX);
	assert_reason(REASON_FROM_TOO_LONG);
}

/* The bound is the sum, not that of each line. */
static void
test_long_by_one(void **state)
{
	char text[5 + FROM_MAX + 1];

	(void)state;
	memset(text, ' ', sizeof(text));
	memcpy(text, "From:a@one.example", 18);
	header_line(&h, text, 5 + FROM_MAX);
	assert_passes("one.example");
	header_clear(&h);
	header_line(&h, text, 5 + FROM_MAX + 1);
	assert_reason(REASON_FROM_TOO_LONG);
}

/* Long fields that are not From cost nothing. */
static void
test_other_long(void **state)
{
	static char text[1 << 20];
	int	    i;

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "Subject:", 8);
	for (i = 0; i < 20; i++) {
		header_line(&h, text, sizeof(text));
		line(" y");
	}
	assert_int_equal(h.fromsize, 0);
	line("From: a@one.example");
	assert_passes("one.example");
}

static void
test_message_id(void **state)
{
	char text[512];

	(void)state;
	assert_string_equal(h.message_id, "");
	line("Message-ID: \t<1@one.example>");
	assert_string_equal(h.message_id, "<1@one.example>");
	header_clear(&h);
	line("MESSAGE-id:");
	assert_string_equal(h.message_id, "");
	memset(text, 'x', sizeof(text));
	memcpy(text, "Message-ID:", 11);
	header_line(&h, text, sizeof(text));
	assert_int_equal(strlen(h.message_id), HEADER_MESSAGE_ID - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_plain, clear),
		cmocka_unit_test_teardown(test_body, clear),
		cmocka_unit_test_teardown(test_body_alone, clear),
		cmocka_unit_test_teardown(test_folds, clear),
		cmocka_unit_test_teardown(test_blank_fold, clear),
		cmocka_unit_test_teardown(test_empty_value, clear),
		cmocka_unit_test_teardown(test_dots, clear),
		cmocka_unit_test_teardown(test_several, clear),
		cmocka_unit_test_teardown(test_space, clear),
		cmocka_unit_test_teardown(test_malformed, clear),
		cmocka_unit_test_teardown(test_other_names, clear),
		cmocka_unit_test_teardown(test_names_like_it, clear),
		cmocka_unit_test_teardown(test_hidden_from, clear),
		cmocka_unit_test_teardown(test_control, clear),
		cmocka_unit_test_teardown(test_first_reason, clear),
		cmocka_unit_test_teardown(test_long, clear),
		cmocka_unit_test_teardown(test_long_by_one, clear),
		cmocka_unit_test_teardown(test_other_long, clear),
		cmocka_unit_test_teardown(test_message_id, clear)
	};

	return (cmocka_run_group_tests_name("header", tests, NULL, NULL));
}
