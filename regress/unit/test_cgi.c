/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "cgi.h"
#include "escape.h"
#include "language.h"
#include "page.h"
#include "wording.h"

#define ID "123456789012345678"

static struct cgi cgi;

static void
parse(const char *query)
{
	cgi_parse(&cgi, "GET", query, NULL, NULL);
}

static void
test_method(void **state)
{
	(void)state;
	cgi_parse(&cgi, "GET", "", NULL, NULL);
	assert_int_equal(cgi.method, CGI_GET);
	cgi_parse(&cgi, "HEAD", NULL, NULL, NULL);
	assert_int_equal(cgi.method, CGI_HEAD);
	cgi_parse(&cgi, "POST", NULL, NULL, NULL);
	assert_int_equal(cgi.method, CGI_OTHER);
	cgi_parse(&cgi, "get", NULL, NULL, NULL);
	assert_int_equal(cgi.method, CGI_OTHER);
	cgi_parse(&cgi, NULL, NULL, NULL, NULL);
	assert_int_equal(cgi.method, CGI_OTHER);
}

static void
test_query(void **state)
{
	static const char *const good[] = { "id=" ID "&auth=bob+news",
		"auth=bob%2Bnews&id=" ID, "id=" ID "&auth=BOB%2bNEWS&x=1",
		"&&id=" ID "&&auth=bob%2Bnews&",
		"id=1&id=" ID "&auth=bob%2Bnews",
		"i%64=" ID "&auth=bob%2Bnews" };
	size_t			 i;

	(void)state;
	for (i = 1; i < sizeof(good) / sizeof(good[0]); i++) {
		parse(good[i]);
		assert_string_equal(cgi.id, ID);
		assert_string_equal(cgi.auth, "bob+news");
	}
	/* A plus sign is a space, as no name has it. */
	parse(good[0]);
	assert_string_equal(cgi.id, ID);
	assert_string_equal(cgi.auth, "");
}

static void
test_bad_queries(void **state)
{
	static const char *const ids[] = { "", "id", "id=", "id=1",
		"id=" ID "9", "id=12345678901234567x", "id=" ID "%00", "id=%",
		"id=%3", "id=%zz" ID, "ID=" ID, "id==" ID, "=" ID, "id= " ID,
		"id=-12345678901234567", "xid=" ID };
	static const char *const names[] = { "auth", "auth=", "auth=-a",
		"auth=a%20b", "auth=a%00b", "auth=a/b", "auth=a%",
		"auth=%C3%A4",
		"auth=0123456789012345678901234567890123456789012345678901234567"
		"8901234" };
	char			 query[2048];
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		parse(ids[i]);
		assert_string_equal(cgi.id, "");
	}
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		parse(names[i]);
		assert_string_equal(cgi.auth, "");
	}
	memset(query, 'a', sizeof(query));
	memcpy(query, "id=", 3);
	query[sizeof(query) - 1] = '\0';
	parse(query);
	assert_string_equal(cgi.id, "");
	query[sizeof(query) - 40] = '\0';
	strcat(query, "&id=" ID);
	parse(query);
	assert_string_equal(cgi.id, ID);
}

static void
test_accept(void **state)
{
	static const struct {
		const char *accept;
		bool	    json;
	} rows[] = { { NULL, false }, { "", false }, { "*/*", false },
		{ "text/html,application/xhtml+xml,*/*;q=0.8", false },
		{ "application/json", true },
		{ "application/json, text/plain, */*", true },
		{ "text/html, application/json", false },
		{ "application/json, text/html;q=0.5", true } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cgi_parse(&cgi, "GET", "", rows[i].accept, NULL);
		assert_int_equal(cgi.json, rows[i].json);
	}
}

static void
assert_escaped(void (*escape)(FILE *, const char *), const char *text,
    const char *want)
{
	char  *got = NULL;
	size_t size;
	FILE  *fp = open_memstream(&got, &size);

	assert_non_null(fp);
	escape(fp, text);
	fclose(fp);
	assert_string_equal(got, want);
	free(got);
}

static void
test_escape_html(void **state)
{
	(void)state;
	assert_escaped(escape_html, "", "");
	assert_escaped(escape_html, "M\xc3\xbcller \\", "M\xc3\xbcller \\");
	assert_escaped(escape_html, "<b a=\"x\" c='y'>&amp;",
	    "&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;amp;");
	assert_escaped(escape_html, "a\xff\xc3", "a\\xff\\xc3");
	assert_escaped(escape_html, "\xed\xa0\x80\xc0\xbc",
	    "\\xed\\xa0\\x80\\xc0\\xbc");
	assert_escaped(escape_html, "\x01\n\x7f\xc2\x85",
	    "\\u{0001}\\u{000a}\\u{007f}\\u{0085}");
	/* The marks that turn the direction, and what nobody sees. */
	assert_escaped(escape_html, "\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8",
	    "\\u{202e}\\u{2066}\\u{2028}");
	assert_escaped(escape_html, "\xe2\x80\x8b\xef\xbb\xbf",
	    "\\u{200b}\\u{feff}");
}

static void
test_escape_json(void **state)
{
	(void)state;
	assert_escaped(escape_json, "", "\"\"");
	assert_escaped(escape_json, "M\xc3\xbcller <\"\\>",
	    "\"M\xc3\xbcller <\\u0022\\u005c>\"");
	assert_escaped(escape_json, "a\n\x7f\xff",
	    "\"a\\u000a\\u007f\\ufffd\"");
}

static const char *
value(void *arg, const char *name)
{
	(void)arg;
	return (strcmp(name, "user") == 0 ? "{domain}<bob>" : NULL);
}

static void
test_wording(void **state)
{
	static const char *const parts[] = { "what", "why", "fix" };
	char			*text;
	size_t			 i;

	(void)state;
	for (i = 0; i < 3; i++) {
		text = wording_of(language_of(NULL), "source-not-listed",
		    parts[i], value, NULL);
		assert_non_null(text);
		assert_null(strchr(text, '\n'));
		assert_null(strchr(text, '\t'));
		assert_null(strstr(text, "  "));
		free(text);
	}
	text = wording_of(language_of(NULL), "source-not-listed", "what", value,
	    NULL);
	assert_string_equal(text,
	    "The user {domain}<bob> may not send from this address.");
	free(text);
	/* What cannot be filled in stays. */
	text = wording_of(language_of(NULL), "plan-not-pro", "fix", value,
	    NULL);
	assert_contains(text, "{domain}");
	free(text);
	text = wording_of(language_of("de"), "source-not-listed", "what", value,
	    NULL);
	assert_contains(text, "{domain}<bob> darf");
	free(text);
	assert_null(wording_of(language_of(NULL), "", "what", value, NULL));
	assert_null(wording_of(language_of(NULL), "source", "what", value,
	    NULL));
	assert_null(wording_of(language_of(NULL), "source-not-listed] x",
	    "what", value, NULL));
	assert_null(wording_of(language_of(NULL), "plan-not-pro", "wha", value,
	    NULL));
	assert_null(wording_of(language_of(NULL), "redis-unavailable", "x\nfix",
	    value, NULL));
}

#define HOSTILE 100000
#define PIECES_MAX 8

static const char *
hostile_query(char *query, size_t size)
{
	static const char *const pieces[] = { "id=", "auth=", "&", "=", ID,
		"alice", "&id=" ID "&", "&auth=alice&", "%", "%00",
		"%0d%0aX:%20y", "%0A%0A", "%3Cscript%3E", "<script>",
		"%E2%80%AE", "%ff", "\xff", "+", "?", ";", "../", "{user}", "*",
		"%s%n", "$(id)", "'", "\"", "\r\n", "%25", "A",
		"0123456789012345678901234567890123456789" };
	uint32_t		 n = 1 + arc4random_uniform(PIECES_MAX);

	query[0] = '\0';
	while (n-- > 0)
		strlcat(query,
		    pieces[arc4random_uniform(sizeof(pieces) /
			sizeof(pieces[0]))],
		    size);
	return (query);
}

/* The response to a report whose fields a stranger has filled. */
static char *
response(const char *text)
{
	struct page_form   form = { .language = cgi.language };
	struct page_report report = { .id = cgi.id };
	char		  *made = NULL;
	size_t		   i, size;
	FILE		  *fp = open_memstream(&made, &size);

	for (i = 0; i < PAGE_FIELDS; i++)
		report.field[i] = text;
	page_report(fp, &form, &report);
	assert_int_equal(fclose(fp), 0);
	assert_int_equal(strlen(made), size);
	return (made);
}

static void
test_hostile_queries(void **state)
{
	char   query[512], folded[USER_NAME_MAX + 1], *page, *header;
	size_t i, len, reports = 0;

	(void)state;
	parse("");
	header = response("");
	len = (size_t)(strstr(header, "\n\n") - header);
	for (i = 0; i < HOSTILE; i++) {
		parse(hostile_query(query, sizeof(query)));
		if (cgi.id[0] != '\0')
			assert_string_equal(cgi.id, ID);
		if (cgi.auth[0] != '\0') {
			assert_true(user_fold_name(cgi.auth, folded));
			assert_string_equal(cgi.auth, folded);
		}
		page = response(query);
		if (memcmp(page, header, len + 2) != 0 ||
		    strstr(page, "<script") != NULL ||
		    strchr(page, '\r') != NULL)
			fail_msg("%s", query);
		reports += cgi.id[0] != '\0' && cgi.auth[0] != '\0';
		free(page);
	}
	free(header);
	assert_true(reports > 100);
}

static void
test_style(void **state)
{
	unsigned char digest[EVP_MAX_MD_SIZE], text[2 * EVP_MAX_MD_SIZE];
	unsigned int  len;

	(void)state;
	assert_int_equal(EVP_Digest(page_style, strlen(page_style), digest,
			     &len, EVP_sha256(), NULL),
	    1);
	EVP_EncodeBlock(text, digest, (int)len);
	assert_string_equal(page_style_digest, (char *)text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_method),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_bad_queries),
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_escape_html),
		cmocka_unit_test(test_escape_json),
		cmocka_unit_test(test_wording),
		cmocka_unit_test(test_hostile_queries),
		cmocka_unit_test(test_style) };

	return (cmocka_run_group_tests_name("cgi", tests, NULL, NULL));
}
