/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "filterline.h"

#define SESSION 0x317375cd1ab40357
#define TOKEN 0xe094d90fe1514a6d
#define REPORT "report|0.7|1795237821.526211|smtp-in|"
#define REQUEST "filter|0.7|1795237821.572614|smtp-in|"
#define ID "317375cd1ab40357"
#define TOK "e094d90fe1514a6d"

/*
 * The line under test, alone in its memory, so that a step beyond its NUL is
 * seen.
 */
static char *line;

static const char *
parse_len(const char *text, size_t len, struct filterline *fl)
{
	free(line);
	line = malloc(len + 1);
	assert_non_null(line);
	memcpy(line, text, len);
	line[len] = '\0';
	return (filterline_parse(line, len, fl));
}

static const char *
parse(const char *text, struct filterline *fl)
{
	return (parse_len(text, strlen(text), fl));
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
	struct filterline fl;

	(void)state;
	assert_null(parse("config|smtpd-version|7.6.0-portable", &fl));
	assert_int_equal(fl.kind, LINE_CONFIG);
	assert_string_equal(fl.name, "smtpd-version");
	assert_string_equal(fl.params, "7.6.0-portable");
	assert_null(parse("config|ready", &fl));
	assert_int_equal(fl.kind, LINE_CONFIG);
	assert_string_equal(fl.name, "ready");
	assert_string_equal(fl.params, "");
	assert_null(parse("config|admd|a|b", &fl));
	assert_string_equal(fl.params, "a|b");
	assert_null(parse("config|", &fl));
	assert_string_equal(fl.name, "");
}

static void
test_reports(void **state)
{
	static const struct {
		const char	     *rest;
		enum filterline_event event;
		const char	     *params;
	} cases[] = { { "link-connect|" ID "|localhost|pass|127.0.0.1:57364|"
			"127.0.0.1:2525",
			  EV_LINK_CONNECT,
			  "localhost|pass|127.0.0.1:57364|127.0.0.1:2525" },
		{ "link-auth|" ID "|pass|alice", EV_LINK_AUTH, "pass|alice" },
		{ "link-disconnect|" ID, EV_LINK_DISCONNECT, "" },
		{ "tx-begin|" ID "|8d221206", EV_TX_BEGIN, "8d221206" },
		{ "tx-mail|" ID "|8d221206|ok|a@ex.test", EV_TX_MAIL,
		    "8d221206|ok|a@ex.test" },
		{ "tx-rcpt|" ID "|8d221206|ok|b@dest.test", EV_TX_RCPT,
		    "8d221206|ok|b@dest.test" },
		{ "tx-data|" ID "|8d221206|ok", EV_TX_DATA, "8d221206|ok" },
		{ "tx-commit|" ID "|8d221206|512", EV_TX_COMMIT,
		    "8d221206|512" },
		{ "tx-rollback|" ID "|8d221206", EV_TX_ROLLBACK, "8d221206" },
		{ "tx-reset|" ID "|", EV_TX_RESET, "" },
		{ "timeout|" ID, EV_UNKNOWN, "" },
		{ "protocol-client|" ID "|RSET", EV_PROTOCOL_CLIENT, "RSET" },
		{ "protocol-server|" ID "|550 a|b", EV_PROTOCOL_SERVER,
		    "550 a|b" },
		/* a request's name is no report's */
		{ "commit|" ID "|x", EV_UNKNOWN, "x" },
		{ "LINK-AUTH|" ID "|x", EV_UNKNOWN, "x" },
		{ "link-aut|" ID "|x", EV_UNKNOWN, "x" },
		{ "|" ID "|x", EV_UNKNOWN, "x" } };
	struct filterline fl;
	char		  text[256];
	size_t		  i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), REPORT "%s", cases[i].rest);
		assert_null(parse(text, &fl));
		assert_int_equal(fl.kind, LINE_REPORT);
		assert_int_equal(fl.event, cases[i].event);
		assert_int_equal(fl.session, SESSION);
		assert_false(fl.out);
		assert_string_equal(fl.params, cases[i].params);
	}
}

static void
test_reports_of_smtp_out(void **state)
{
	struct filterline fl;

	(void)state;
	assert_null(parse("report|0.7|1.2|smtp-out|tx-begin|" ID "|8d221206",
	    &fl));
	assert_int_equal(fl.kind, LINE_REPORT);
	assert_true(fl.out);
	assert_int_equal(fl.event, EV_TX_BEGIN);
	assert_int_equal(fl.session, SESSION);
	assert_string_equal(fl.params, "8d221206");
	/* smtpd asks nothing there. */
	assert_non_null(parse("filter|0.7|1.2|smtp-out|commit|" ID "|" TOK "|",
	    &fl));
	assert_non_null(parse("report|0.7|1.2|smtp-|tx-begin|" ID "|x", &fl));
}

static void
test_requests(void **state)
{
	static const struct {
		const char	     *name;
		enum filterline_event event;
		const char	     *params;
	} cases[] = { { "auth", EV_AUTH, "PLAIN AGFsaWNlAHNlY3JldA==" },
		{ "mail-from", EV_MAIL_FROM, "a@ex.test" },
		{ "mail-from", EV_MAIL_FROM, "" },
		{ "rcpt-to", EV_RCPT_TO, "b|c@dest.test" },
		{ "data", EV_DATA, "" },
		{ "data-line", EV_DATA_LINE, "Subject: x | y" },
		{ "commit", EV_COMMIT, "" },
		{ "ehlo", EV_UNKNOWN, "client.test" },
		{ "link-auth", EV_UNKNOWN, "" } };
	struct filterline fl;
	char		  text[256];
	size_t		  i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), REQUEST "%s|" ID "|" TOK "|%s",
		    cases[i].name, cases[i].params);
		assert_null(parse(text, &fl));
		assert_int_equal(fl.kind, LINE_REQUEST);
		assert_int_equal(fl.event, cases[i].event);
		assert_string_equal(fl.name, cases[i].name);
		assert_int_equal(fl.session, SESSION);
		assert_int_equal(fl.token, TOKEN);
		assert_string_equal(fl.params, cases[i].params);
	}
	assert_null(parse(REQUEST "commit|" ID "|" TOK, &fl));
	assert_int_equal(fl.token, TOKEN);
	assert_string_equal(fl.params, "");
}

static void
test_malformed(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} cases[] = { { "", "no fields" }, { "config", "no fields" },
		{ "report", "no fields" }, { "garbage", "no fields" },
		{ "|", "unknown kind" },
		{ "reports|0.7|1|smtp-in|tx-begin|" ID, "unknown kind" },
		{ "Filter|0.7|1|smtp-in|data|" ID "|" TOK, "unknown kind" },
		{ "filter-result|x", "unknown kind" },
		{ "report|", "too few fields" },
		{ "report|0.7|1", "too few fields" },
		{ "report|0.7|1|smtp-in", "too few fields" },
		{ "report|0.7|1|smtp-in|link-auth", "too few fields" },
		{ "filter|0.7|1|smtp-out|data|" ID "|" TOK,
		    "unknown subsystem" },
		{ "filter|0.7|1||data|" ID "|" TOK, "unknown subsystem" },
		{ REPORT "link-auth|", "bad session id" },
		{ REPORT "link-auth|317375cd1ab4035|x", "bad session id" },
		{ REPORT "link-auth|317375cd1ab403571|x", "bad session id" },
		{ REPORT "link-auth|317375CD1AB40357|x", "bad session id" },
		{ REPORT "link-auth|317375cd1ab4035g|x", "bad session id" },
		{ REPORT "link-auth| 17375cd1ab40357|x", "bad session id" },
		{ REPORT "link-auth|0x7375cd1ab40357|x", "bad session id" },
		{ REPORT "link-auth|-17375cd1ab40357|x", "bad session id" },
		{ REQUEST "data|" ID, "bad token" },
		{ REQUEST "data|" ID "|", "bad token" },
		{ REQUEST "data|" ID "|e094d90fe1514a6", "bad token" },
		{ REQUEST "data|" ID "|e094d90fe1514a6d0|", "bad token" },
		{ REQUEST "data|" ID "|xxxxxxxxxxxxxxxx|", "bad token" } };
	struct filterline fl;
	const char	 *why;
	size_t		  i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		why = parse(cases[i].text, &fl);
		if (why == NULL)
			fail_msg("taken: \"%s\"", cases[i].text);
		assert_string_equal(why, cases[i].why);
	}
}

/* NULs are bytes of a line like others, and no field ends early at the line. */
static void
test_nul(void **state)
{
	static const char id[] = REPORT "link-auth|3173\00075cd1ab40357|x";
	static const char params[] = REQUEST "mail-from|" ID "|" TOK "|a\0b";
	static const char none[] = "\0\0\0";
	struct filterline fl;

	(void)state;
	assert_string_equal(parse_len(id, sizeof(id) - 1, &fl),
	    "bad session id");
	assert_null(parse_len(params, sizeof(params) - 1, &fl));
	assert_memory_equal(fl.params, "a\0b", 4);
	assert_string_equal(parse_len(none, 3, &fl), "no fields");
}

/* Every beginning of a good line is malformed, or ends where it may. */
static void
test_cut_short(void **state)
{
	static const char text[] = REQUEST "rcpt-to|" ID "|" TOK "|b@d";
	struct filterline fl;
	size_t		  len, whole = sizeof(text) - 1;

	(void)state;
	for (len = 0; len <= whole; len++)
		assert_int_equal(parse_len(text, len, &fl) == NULL,
		    len >= whole - 4);
}

static const char *
data(const char *text, size_t len, struct filterline_run *run)
{
	char	   *copy = malloc(len + 1);
	const char *p;

	assert_non_null(copy);
	memcpy(copy, text, len);
	copy[len] = '\0';
	free(line);
	line = copy;
	p = filterline_data(copy, len, run);
	assert_memory_equal(copy, text, len);
	return (p);
}

static void
check_data(const char *text, size_t len, struct filterline_run *run)
{
	char	    buf[256];
	const char *p;
	int	    n;

	n = snprintf(buf, sizeof(buf), REQUEST "data-line|" ID "|" TOK "|");
	memcpy(buf + n, text, len);
	p = data(buf, (size_t)n + len, run);
	assert_non_null(p);
	assert_int_equal(run->session, SESSION);
	assert_memory_equal(p, ID "|" TOK "|", FILTERLINE_DATA_TEXT);
	assert_memory_equal(p + FILTERLINE_DATA_TEXT, text, len);
	assert_ptr_equal(p + FILTERLINE_DATA_TEXT + len,
	    line + (size_t)n + len);
}

static void
test_data(void **state)
{
	static const struct {
		const char *text;
		size_t	    len;
	} cases[] = { { "Subject: x | y", 14 }, { "", 0 }, { ".", 1 },
		{ "...dot line", 11 }, { "\ttab \r", 6 }, { "a\0b|c\xff", 6 },
		{ "|smtp-in|data-line|", 19 } };
	struct filterline_run fresh, run = { 0 };
	size_t		      i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&fresh, 0, sizeof(fresh));
		check_data(cases[i].text, cases[i].len, &fresh);
		check_data(cases[i].text, cases[i].len, &run);
	}
}

/*
 * A line as the one before but for a byte of its head is read as if there had
 * been none before, whatever that byte becomes, and so is the next.
 */
static void
test_a_byte_of_the_head(void **state)
{
	static const char     whole[] = REQUEST "data-line|" ID "|" TOK "|text";
	static const char     bytes[] = "0f|g A\0\xff";
	struct filterline_run run = { 0 }, fresh;
	char		      other[sizeof(whole)];
	const char	     *p, *q;
	size_t		      i, j, len = sizeof(whole) - 1;

	(void)state;
	for (i = 0; i < len; i++)
		for (j = 0; j < sizeof(bytes) - 1; j++) {
			assert_non_null(data(whole, len, &run));
			assert_int_equal(run.session, SESSION);
			memcpy(other, whole, sizeof(other));
			other[i] = bytes[j];
			memset(&fresh, 0, sizeof(fresh));
			p = filterline_data(other, len, &run);
			q = filterline_data(other, len, &fresh);
			assert_ptr_equal(p, q);
			assert_int_equal(run.session,
			    q != NULL ? fresh.session : SESSION);
		}
}

/* The last digit of the session's id, 60 bytes into the line, is enough. */
static void
test_two_sessions_by_turns(void **state)
{
	static const char *const ids[] = { ID, "317375cd1ab40358" };
	struct filterline_run	 run = { 0 };
	char			 text[256];
	size_t			 i;

	(void)state;
	for (i = 0; i < 6; i++) {
		snprintf(text, sizeof(text), REQUEST "data-line|%s|" TOK "|x",
		    ids[i % 2]);
		assert_non_null(data(text, strlen(text), &run));
		assert_int_equal(run.session, SESSION + i % 2);
	}
}

/* A line cut off behind, or within, the head that it shares. */
static void
test_shorter_than_the_head(void **state)
{
	static const char     whole[] = REQUEST "data-line|" ID "|" TOK "|";
	struct filterline_run run = { 0 };
	size_t		      len;

	(void)state;
	assert_non_null(data(whole, sizeof(whole) - 1, &run));
	for (len = 0; len < sizeof(whole) - 1; len++)
		assert_null(data(whole, len, &run));
	assert_non_null(data(whole, sizeof(whole) - 1, &run));
}

static void
test_not_data(void **state)
{
	static const char *const cases[] = { "", "filter|", "filter|0.7|",
		REQUEST, REQUEST "data-line|", REQUEST "data-line|" ID,
		REQUEST "data-line|" ID "|" TOK,
		REQUEST "data-line|" ID "|" TOK " ",
		REQUEST "data-line|" ID " " TOK "|x",
		REQUEST "data-line|317375CD1AB40357|" TOK "|x",
		REQUEST "data-line|" ID "|e094d90fe1514a6g|x",
		REQUEST "data-line|" ID "|e094d90fe1514a6|xx",
		REQUEST "data|" ID "|" TOK "|some text that is long enough",
		REQUEST "commit|" ID "|" TOK "|some text that is long enough",
		"report|0.7|1|smtp-in|data-line|" ID "|" TOK "|x",
		"filter|0.7|1|smtp-out|data-line|" ID "|" TOK "|x",
		"filter|0.7|smtp-in|data-line|" ID "|" TOK "|x",
		"filter|0.7|1|2|smtp-in|data-line|" ID "|" TOK "|x" };
	struct filterline_run	 run = { 0 };
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (data(cases[i], strlen(cases[i]), &run) != NULL)
			fail_msg("taken: \"%s\"", cases[i]);
}

static void
test_source(void **state)
{
	static const char *const cases[][2] = {
		{ "localhost|pass|127.0.0.1:57364|127.0.0.1:25",
		    "127.0.0.1:57364" },
		{ "host|fail|[2001:db8::1]:1|[::1]:25", "[2001:db8::1]:1" },
		{ "localhost|pass|unix:/run/smtpd.sock|unix:/run/smtpd.sock",
		    "unix:/run/smtpd.sock" },
		{ "|fail|192.0.2.1:5|192.0.2.2:25", "192.0.2.1:5" },
		/* what a name server says must not stand for the source */
		{ "evil|pass|127.0.0.1:1|x|pass|192.0.2.1:5|192.0.2.2:25",
		    "192.0.2.1:5" },
		{ "||||192.0.2.1:5|", "192.0.2.1:5" }, { "", "" }, { "a", "" },
		{ "a|b", "" }, { "a|b|c", "" }, { "a|b||d", "" }
	};
	char   copy[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(copy, sizeof(copy), "%s", cases[i][0]);
		assert_string_equal(filterline_source(copy), cases[i][1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_config),
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_reports_of_smtp_out),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_malformed), cmocka_unit_test(test_nul),
		cmocka_unit_test(test_cut_short), cmocka_unit_test(test_data),
		cmocka_unit_test(test_a_byte_of_the_head),
		cmocka_unit_test(test_two_sessions_by_turns),
		cmocka_unit_test(test_shorter_than_the_head),
		cmocka_unit_test(test_not_data),
		cmocka_unit_test(test_source) };

	return (cmocka_run_group_tests_name("filterline", tests, NULL,
	    free_line));
}
