/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "tableline.h"

#define HEAD "table|0.1|1795237821.573002|users|"

static char *line;

static const char *
parse_len(const char *text, size_t len, struct tableline *tl)
{
	free(line);
	line = malloc(len + 1);
	assert_non_null(line);
	memcpy(line, text, len);
	line[len] = '\0';
	return (tableline_parse(line, len, tl));
}

static const char *
parse(const char *text, struct tableline *tl)
{
	return (parse_len(text, strlen(text), tl));
}

static int
free_line(void **state)
{
	(void)state;
	free(line);
	line = NULL;
	return (0);
}

static void
test_config(void **state)
{
	struct tableline tl;

	(void)state;
	assert_null(parse("config|smtpd-version|7.6.0-portable", &tl));
	assert_int_equal(tl.kind, TABLE_CONFIG);
	assert_string_equal(tl.name, "smtpd-version");
	assert_string_equal(tl.key, "7.6.0-portable");
	assert_null(parse("config|ready", &tl));
	assert_int_equal(tl.kind, TABLE_CONFIG);
	assert_string_equal(tl.name, "ready");
	assert_string_equal(tl.key, "");
	assert_null(parse("config|a|b|c", &tl));
	assert_string_equal(tl.key, "b|c");
}

static void
test_requests(void **state)
{
	static const struct {
		const char	      *rest;
		enum tableline_kind    kind;
		enum tableline_service service;
		const char	      *id;
		const char	      *key;
	} cases[] = { { "lookup|credentials|c92ad14d|alice", TABLE_LOOKUP,
			  SERVICE_CREDENTIALS, "c92ad14d", "alice" },
		{ "check|netaddr|507153d3|[2001:db8::1]", TABLE_CHECK,
		    SERVICE_NETADDR, "507153d3", "[2001:db8::1]" },
		/* a password may hold anything but a newline */
		{ "check|auth|1|alice:pass|word: x", TABLE_CHECK, SERVICE_AUTH,
		    "1", "alice:pass|word: x" },
		{ "check|auth|1||", TABLE_CHECK, SERVICE_AUTH, "1", "|" },
		{ "lookup|credentials|0|", TABLE_LOOKUP, SERVICE_CREDENTIALS,
		    "0", "" },
		{ "fetch|source|68fbd020", TABLE_FETCH, SERVICE_OTHER,
		    "68fbd020", "" },
		{ "lookup|alias|16d95538|alice", TABLE_LOOKUP, SERVICE_OTHER,
		    "16d95538", "alice" },
		{ "lookup|Credentials|16d95538|a", TABLE_LOOKUP, SERVICE_OTHER,
		    "16d95538", "a" },
		{ "update|68fbd020", TABLE_UPDATE, SERVICE_OTHER, "68fbd020",
		    "" },
		{ "dance|alias|16d95538", TABLE_UNKNOWN, SERVICE_OTHER,
		    "16d95538", "" },
		{ "dance|alias|16d95538|x|y", TABLE_UNKNOWN, SERVICE_OTHER,
		    "16d95538", "x|y" },
		{ "check|netaddr|0123456789abcdef0123456789abcde|x",
		    TABLE_CHECK, SERVICE_NETADDR,
		    "0123456789abcdef0123456789abcde", "x" } };
	struct tableline tl;
	char		 text[256];
	const char	*why;
	size_t		 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), HEAD "%s", cases[i].rest);
		if ((why = parse(text, &tl)) != NULL)
			fail_msg("%s: %s", text, why);
		assert_int_equal(tl.kind, cases[i].kind);
		assert_int_equal(tl.service, cases[i].service);
		assert_string_equal(tl.id, cases[i].id);
		assert_string_equal(tl.key, cases[i].key);
	}
}

static void
test_malformed(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} cases[] = { { "", "unknown kind" }, { "config", "unknown kind" },
		{ "tables|0.1|1|users|update|1", "unknown kind" },
		{ "|", "unknown kind" }, { "table", "too few fields" },
		{ "table|0.1", "too few fields" },
		{ "table|0.1|1|users", "too few fields" },
		{ HEAD "lookup", "no service" }, { HEAD "dance", "no service" },
		{ HEAD, "no service" }, { HEAD "update", "bad id" },
		{ HEAD "update|", "bad id" },
		{ HEAD "lookup|credentials", "bad id" },
		{ HEAD "lookup|credentials||alice", "bad id" },
		{ HEAD "lookup|credentials|C92AD14D|alice", "bad id" },
		{ HEAD "lookup|credentials|c92ad14g|alice", "bad id" },
		{ HEAD "lookup|credentials| c92ad14|alice", "bad id" },
		{ HEAD "lookup|credentials|c92a d14|alice", "bad id" },
		{ HEAD "lookup|credentials|0123456789abcdef0123456789abcdef|a",
		    "bad id" },
		{ HEAD "lookup|credentials|c92ad14d", "no key" },
		{ HEAD "check|netaddr|c92ad14d", "no key" } };
	struct tableline tl;
	const char	*why;
	size_t		 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		why = parse(cases[i].text, &tl);
		if (why == NULL)
			fail_msg("taken: \"%s\"", cases[i].text);
		assert_string_equal(why, cases[i].why);
	}
}

/* A NUL would hide from us what smtpd means. */
static void
test_nul(void **state)
{
	static const char text[] = HEAD "check|auth|c92ad14d|alice:a\0b";
	struct tableline  tl;
	size_t		  len = sizeof(text) - 1;

	(void)state;
	assert_string_equal(parse_len(text, len, &tl), "NUL");
	assert_string_equal(parse_len(text, len - 1, &tl), "NUL");
	assert_null(parse_len(text, len - 2, &tl));
	assert_string_equal(tl.key, "alice:a");
}

static void
test_cut_short(void **state)
{
	static const char text[] = HEAD "check|netaddr|c92ad14d|::1";
	struct tableline  tl;
	size_t		  len, whole = sizeof(text) - 1;

	(void)state;
	for (len = 0; len <= whole; len++)
		assert_int_equal(parse_len(text, len, &tl) == NULL,
		    len >= whole - 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_config),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_malformed), cmocka_unit_test(test_nul),
		cmocka_unit_test(test_cut_short) };

	return (cmocka_run_group_tests_name("tableline", tests, NULL,
	    free_line));
}
