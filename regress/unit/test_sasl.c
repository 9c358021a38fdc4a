/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <netinet/in.h>

#include <bsd/stdlib.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "sasl.h"

/* The arguments of AUTH, base64 made of the bytes. */
static char *
args(const char *mechanism, const char *bytes, size_t len)
{
	static char buf[16384];
	char	   *base64 = malloc(len * 2 + 8);

	assert_non_null(base64);
	assert_int_not_equal(b64_ntop((const unsigned char *)bytes, len, base64,
				 len * 2 + 8),
	    -1);
	snprintf(buf, sizeof(buf), "%s %s", mechanism, base64);
	free(base64);
	return (buf);
}

static void
check_plain(const char *bytes, size_t len, const char *name,
    const char *password)
{
	struct sasl sasl;

	sasl_parse(args("PLAIN", bytes, len), &sasl);
	assert_int_equal(sasl.form, SASL_CREDENTIAL);
	assert_string_equal(sasl.name, name);
	assert_string_equal(sasl.password, password);
	sasl_clear(&sasl);
}

#define CHECK_PLAIN(bytes, name, password) \
	check_plain(bytes, sizeof(bytes) - 1, name, password)

static void
test_plain(void **state)
{
	(void)state;
	CHECK_PLAIN("\0alice\0secret", "alice", "secret");
	CHECK_PLAIN("alice\0alice\0secret", "alice", "secret");
	CHECK_PLAIN("admin\0alice\0secret", "alice", "secret");
	CHECK_PLAIN("\0Alice\0SeCret", "Alice", "SeCret");
	CHECK_PLAIN("\0alice\0a:b|c d\xc3\xa9", "alice", "a:b|c d\xc3\xa9");
	CHECK_PLAIN("\0\0secret", "", "secret");
	/* what stands behind a second NUL is no part of it, as in smtpd */
	CHECK_PLAIN("\0alice\0secret\0more", "alice", "secret");
}

static void
test_plain_words(void **state)
{
	static const char *const cases[] = { "PLAIN AGFsaWNlAHNlY3JldA==",
		"plain AGFsaWNlAHNlY3JldA==", "pLaIn\tAGFsaWNlAHNlY3JldA==",
		"PLAIN   AGFsaWNlAHNlY3JldA==" };
	struct sasl		 sasl;
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sasl_parse(cases[i], &sasl);
		assert_int_equal(sasl.form, SASL_CREDENTIAL);
		assert_string_equal(sasl.name, "alice");
		assert_string_equal(sasl.password, "secret");
	}
}

static void
test_login(void **state)
{
	struct sasl sasl;

	(void)state;
	sasl_parse("LOGIN YWxpY2U=", &sasl);
	assert_int_equal(sasl.form, SASL_NAME);
	assert_string_equal(sasl.name, "alice");
	assert_string_equal(sasl.password, "");
	sasl_parse("login YWxpY2U=", &sasl);
	assert_int_equal(sasl.form, SASL_NAME);
}

static void
test_hidden(void **state)
{
	static const char *const cases[] = { "", " ", "PLAIN", "PLAIN ",
		"LOGIN", "LOGIN  ", "PLAIN =", "PLAIN *", "PLAIN !!!!",
		"PLAIN AGFsaWNlAHNlY3JldA",
		"PLAIN AGFsaWNlAHNlY3JldA===", "PLAIN AGFsaWNlAHNlY3JldA==x",
		"LOGIN =", "LOGIN *", "LOGIN YWxpY2U",
		"PLAIN YWxpY2U=", "PLAIN AGFsaWNl",
		"PLAIN AA==", "PLAIN AAA=", "PLAIN AGFsaWNlAA==",
		"CRAM-MD5 AGFsaWNlAHNlY3JldA==", "XPLAIN AGFsaWNlAHNlY3JldA==",
		"PLAI AGFsaWNlAHNlY3JldA==", "PLAINX AGFsaWNlAHNlY3JldA==",
		" PLAIN AGFsaWNlAHNlY3JldA==", "AGFsaWNlAHNlY3JldA==" };
	struct sasl		 sasl;
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&sasl, 0x55, sizeof(sasl));
		sasl_parse(cases[i], &sasl);
		if (sasl.form != SASL_HIDDEN)
			fail_msg("taken: \"%s\"", cases[i]);
		assert_string_equal(sasl.password, "");
	}
}

/* Up to what fits, and nothing of what does not. */
static void
test_long(void **state)
{
	static char bytes[8192];
	struct sasl sasl;
	size_t	    len;

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	bytes[0] = bytes[6] = '\0';
	for (len = 1000; len < 1100; len++) {
		sasl_parse(args("PLAIN", bytes, len), &sasl);
		if (sasl.form == SASL_CREDENTIAL)
			assert_int_equal(strlen(sasl.password), len - 7);
		assert_int_equal(sasl.form == SASL_CREDENTIAL, len < SASL_TEXT);
	}
	sasl_parse(args("PLAIN", bytes, sizeof(bytes)), &sasl);
	assert_int_equal(sasl.form, SASL_HIDDEN);
	memset(bytes, 'x', sizeof(bytes));
	sasl_parse(args("LOGIN", bytes, SASL_TEXT - 1), &sasl);
	assert_int_equal(sasl.form, SASL_NAME);
	assert_int_equal(strlen(sasl.name), SASL_TEXT - 1);
	sasl_parse(args("LOGIN", bytes, SASL_TEXT), &sasl);
	assert_int_equal(sasl.form, SASL_HIDDEN);
}

/* smtpd decodes by b64_pton(3). */
static void
test_same_as_smtpd(void **state)
{
	static const char chars[] = "AAABQRg/z09+====  \t\v\r*-";
	unsigned char	  theirs[SASL_TEXT];
	struct sasl	  sasl;
	char		  line[64];
	size_t		  i, len;
	int		  n, decoded = 0;

	(void)state;
	for (i = 0; i < 200000; i++) {
		strcpy(line, "LOGIN ");
		for (len = 6; len < 7 + i % 14; len++)
			line[len] = chars[arc4random_uniform(sizeof(chars) -
			    1)];
		line[len] = '\0';
		n = b64_pton(line + 6, theirs, sizeof(theirs) - 1);
		sasl_parse(line, &sasl);
		if ((sasl.form == SASL_NAME) != (n > 0) ||
		    (n > 0 && memcmp(sasl.name, theirs, (size_t)n) != 0))
			fail_msg("\"%s\": %d", line, n);
		decoded += n > 0;
	}
	assert_true(decoded > 1000);
}

static void
test_clear(void **state)
{
	static const struct sasl zero;
	struct sasl		 sasl;

	(void)state;
	sasl_parse("PLAIN AGFsaWNlAHNlY3JldA==", &sasl);
	sasl_clear(&sasl);
	assert_memory_equal(&sasl, &zero, sizeof(sasl));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_plain),
		cmocka_unit_test(test_plain_words),
		cmocka_unit_test(test_login), cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_same_as_smtpd),
		cmocka_unit_test(test_clear) };

	return (cmocka_run_group_tests_name("sasl", tests, NULL, NULL));
}
