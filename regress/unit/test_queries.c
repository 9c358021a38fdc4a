/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * Hostile queries, many of them: what could be the address of a report with
 * pieces replaced, removed, repeated and mixed.  What is taken from one is a
 * number and a name or nothing.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "cgi.h"
#include "page.h"

#define QUERIES 100000
#define PAGE_EVERY 20 /* a whole page is a hundred times as slow */
#define LONGEST 20000
#define ID "123456789012345678"

static uint32_t seed = 1;

/* The same numbers at each run. */
static uint32_t
any(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return (seed % below);
}

static const char *
piece(void)
{
	static const char *const pieces[] = { "id=", "auth=", "&", ";", "=",
		"?", "%", "%00", "%0d%0a", "%2", "%zz", "%25", "%C0%AF",
		"%ed%a0%80", "+", "id", "auth", ID, ID "&", "alice", "bob%2B",
		"*", "../", "{", "}", "\x01", "\xff\xfe", "\r\nSet-Cookie: a=b",
		"<script>", "%3Cscript%3E", "\"'", "$(id)", "%s%n",
		"id[]=", "-1", "18446744073709551616", "%E2%80%AE", "\\",
		"\n\n" };

	return (pieces[any(sizeof(pieces) / sizeof(pieces[0]))]);
}

/* One in a thousand is as long as a server lets it be. */
static void
compose(char *query, size_t size)
{
	uint32_t    n = any(1000) == 0 ? 4000 : 1 + any(12);
	size_t	    len = 0, more;
	const char *next;

	for (; n > 0; n--) {
		next = piece();
		more = strlen(next);
		if (len + more >= size)
			break;
		memcpy(query + len, next, more);
		len += more;
		if (len > 0 && any(8) == 0)
			query[any((uint32_t)len)] = (char)(1 + any(255));
	}
	query[len] = '\0';
}

static void
check_request(const struct cgi *cgi)
{
	static const char name[] = "abcdefghijklmnopqrstuvwxyz0123456789._@+-";
	size_t		  len = strlen(cgi->id);

	assert_true(len == 0 || len == REPORT_ID);
	assert_int_equal(strspn(cgi->id, "0123456789"), len);
	assert_int_equal(strspn(cgi->auth, name), strlen(cgi->auth));
	assert_int_not_equal(cgi->auth[0], '-');
}

/* As where Redis has a report that says what the client did. */
static void
check_page(const struct cgi *cgi, const char *query)
{
	const struct page_form form = { .json = cgi->json,
		.language = cgi->language };
	struct page_report     report = { .id = cgi->id };
	char		      *text = NULL, *end;
	size_t		       size, i;
	FILE		      *fp = open_memstream(&text, &size);

	assert_non_null(fp);
	for (i = 0; i < PAGE_FIELDS; i++)
		report.field[i] = query;
	page_report(fp, &form, &report);
	fclose(fp);
	end = strstr(text, "\n\n");
	assert_non_null(end);
	*end = '\0';
	assert_null(strstr(text, "Set-Cookie"));
	assert_null(strchr(text, '\r'));
	assert_true(cgi->json || strstr(end + 1, "<script") == NULL);
	assert_null(strchr(end + 1, '\r'));
	free(text);
}

static void
test_hostile_queries(void **state)
{
	static char query[LONGEST];
	struct cgi  cgi;
	uint32_t    i, numbers = 0, names = 0;

	(void)state;
	setenv("REQUEST_METHOD", "GET", 1);
	for (i = 0; i < QUERIES; i++) {
		compose(query, sizeof(query));
		setenv("QUERY_STRING", query, 1);
		setenv("HTTP_ACCEPT", any(2) == 0 ? query : "application/json",
		    1);
		setenv("HTTP_ACCEPT_LANGUAGE", any(2) == 0 ? query : "de", 1);
		cgi_read(&cgi);
		check_request(&cgi);
		numbers += cgi.id[0] != '\0';
		names += cgi.auth[0] != '\0';
		if (i % PAGE_EVERY == 0)
			check_page(&cgi, query);
	}
	/* Some of them come near enough to be what was asked for. */
	assert_true(numbers > 0 && names > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hostile_queries)
	};

	return (cmocka_run_group_tests_name("queries", tests, NULL, NULL));
}
