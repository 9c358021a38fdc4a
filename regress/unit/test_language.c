/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "language.h"

#define HEADER 8192 /* what web servers let through, and more */

static void
test_choice(void **state)
{
	static const struct {
		const char *header;
		const char *tag;
	} rows[] = { { NULL, "en" }, { "", "en" }, { "en", "en" },
		{ "de", "de" }, { "DE", "de" }, { "de-AT", "de" },
		{ "de-Latn-DE-1996", "de" }, { "de-", "de" }, { "den", "en" },
		{ "d", "en" }, { "de_DE", "en" }, { "fr", "en" },
		{ "fr, de;q=0.1", "de" }, { "en, de", "en" },
		{ "de, en", "de" }, { "de;q=0.8, en;q=0.9", "en" },
		{ "en;q=0.8, de;q=0.9", "de" }, { "de,en;q=0.999", "de" },
		{ "de;q=0.999,en;q=1.000", "en" }, { "de;q=0", "en" },
		{ "de;q=0.000", "en" }, { "de;q=0.001", "de" },
		{ "en;q=0, de;q=0", "en" },
		/* Any other. */
		{ "*", "en" }, { "*;q=0", "en" }, { "*, de", "de" },
		{ "de, *", "de" }, { "de;q=0.5, *", "en" },
		{ "en;q=0, *", "de" }, { "en;q=0.1, *;q=0.2", "de" },
		{ "de;q=0, *", "en" }, { "en;q=0, *;q=0", "en" },
		{ "*-DE", "en" }, { "*;q=0.1, fr, de;q=0.2", "de" },
		/* White space, and empty elements. */
		{ " \tde\t; \tq=0.5 ,\ten;q=0.4", "de" }, { ",,de,", "de" },
		{ "de ;Q=0.5,", "de" },
		/* What is no element is passed over. */
		{ "de;q=", "en" }, { "de;q=2", "en" }, { "de;q=1.5", "en" },
		{ "de;q=1.001", "en" }, { "de;q=0.1234", "en" },
		{ "de;q=-1", "en" }, { "de;q=.5", "en" }, { "de;q=0x", "en" },
		{ "de;q = 1", "en" }, { "de;level=1", "en" }, { "de;", "en" },
		{ "de;q=1;q=1", "en" }, { "de en", "en" }, { ";q=1", "en" },
		{ "de;q=nan, de-CH;q=0.2", "de" },
		/* As browsers send it. */
		{ "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", "de" },
		{ "en-US,en;q=0.9,de;q=0.8", "en" },
		{ "fr-FR,fr;q=0.9,de;q=0.5,*;q=0.1", "de" } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(language_of(rows[i].header)->tag,
		    rows[i].tag);
}

static void
test_long_headers(void **state)
{
	static const char *const fills[] = { ",", ";", " ", "-", "*", "de",
		"*,", "fr,", "de;q=0,", "de;q=0.", "q=", "\xff" };
	char			 header[HEADER + 16];
	size_t			 i, len;

	(void)state;
	for (i = 0; i < sizeof(fills) / sizeof(fills[0]); i++) {
		for (len = 0; len < HEADER; len += strlen(fills[i]))
			strcpy(header + len, fills[i]);
		assert_non_null(language_of(header));
		strcpy(header + len, ",de;q=0.5");
		/* All but the one where English is as good as any. */
		assert_string_equal(language_of(header)->tag,
		    strcmp(fills[i], "*,") == 0 ? "en" : "de");
	}
}

static void
assert_german(const char *english, const char *german)
{
	char *text = language_text(language_of("de"), english);

	assert_string_equal(text, german);
	free(text);
}

static void
test_text(void **state)
{
	char *text;

	(void)state;
	assert_german("Why", "Warum");
	/* Strings of several lines, quotes and backslashes. */
	text = language_text(language_of("de"),
	    "Separate the header fields by CRLF. In PHP, write \"\\r\\n\" and "
	    "not \"\\n\" between the additional headers of mail(), or give "
	    "them as an array.");
	assert_contains(text, " von mail() \"\\r\\n\" und nicht \"\\n\", oder");
	free(text);
	assert_null(language_text(language_of("de"), ""));
	assert_null(language_text(language_of("de"), "Wh"));
	assert_null(language_text(language_of("de"), "Why "));
	assert_null(language_text(language_of("de"), "Why\""));
	assert_null(language_text(language_of("en"), "Why"));
}

static void
test_odd_catalogues(void **state)
{
	static const char *const rows[] = { "", "\nmsgid \"", "\nmsgid \"a",
		"\nmsgid \"a\"", "\nmsgid \"a\\", "\nmsgid \"a\"\nmsgstr \"",
		"\nmsgid \"a\"\nmsgstr \"\"", "\nmsgid \"a\"\nmsgstr \"\"\n\"",
		"\nmsgid \"a\"\nmsgstr \"\\", "msgid \"a\"\nmsgstr \"b\"",
		"\n#~ msgid \"a\"\n#~ msgstr \"b\"" };
	struct language		 language = { .tag = "x" };
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		language.catalogue = rows[i];
		assert_null(language_text(&language, "a"));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_choice),
		cmocka_unit_test(test_long_headers),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_odd_catalogues) };

	return (cmocka_run_group_tests_name("language", tests, NULL, NULL));
}
