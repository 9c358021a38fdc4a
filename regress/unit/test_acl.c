/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stdio.h>
#include <string.h>

#include "unit.h"

#include "acl.h"

static struct conf    conf;
static struct domains ds;
static struct header  header;
static struct user    user;

static const struct spf_answer *answer; /* what is known of SPF */

static int
set_up(void **state)
{
	(void)state;
	memset(&conf, 0, sizeof(conf));
	memset(&ds, 0, sizeof(ds));
	memset(&user, 0, sizeof(user));
	answer = NULL;
	conf.spf = SPF_PUBLISHED;
	conf.enforce = ENFORCE_ENVELOPE | ENFORCE_HEADER;
	user.any_source = true;
	return (0);
}

static int
tear_down(void **state)
{
	(void)state;
	header_clear(&header);
	return (0);
}

static const struct spf_answer *
known(void *arg, const char *name)
{
	(void)name;
	assert_ptr_equal(arg, &user);
	return (answer);
}

static enum reason
judge(const char **domain)
{
	struct verdict v = acl_domains(&conf, &user, &ds, known, &user);

	*domain = v.domain;
	return (v.reason);
}

static void
assert_name(enum reason got, enum reason expected)
{
	assert_string_equal(reason_name(got), reason_name(expected));
}

static void
test_null_sender(void **state)
{
	(void)state;
	assert_true(acl_null_sender(""));
	assert_false(acl_null_sender("a"));
	assert_false(acl_null_sender(" "));
}

static void
test_envelope(void **state)
{
	static const struct {
		const char *sender;
		enum reason reason;
		const char *domain;
	} cases[] = { { "a@one.example", REASON_NONE, "one.example" },
		{ "A@ONE.example", REASON_NONE, "one.example" },
		{ "a@sub.one.example", REASON_NONE, "sub.one.example" },
		{ "a@b\xc3\xbc"
		  "cher.example",
		    REASON_NONE, "xn--bcher-kva.example" },
		{ "a+b=c.example@one.example", REASON_NONE, "one.example" },
		/* As smtpd itself would have it. */
		{ "a@two.example@one.example", REASON_NONE, "one.example" },
		{ "", REASON_NONE, NULL }, { "a", REASON_SENDER, NULL },
		{ "@one.example", REASON_SENDER, NULL },
		{ "@two.example:a@one.example", REASON_SENDER, NULL },
		{ "a@", REASON_DOMAIN, NULL },
		{ "a@localhost", REASON_DOMAIN, NULL },
		{ "a@one.example.", REASON_DOMAIN, NULL },
		{ "a@192.0.2.1", REASON_DOMAIN, NULL },
		{ "a@[192.0.2.1]", REASON_LITERAL, NULL },
		{ "a@[IPv6:2001:db8::1]", REASON_LITERAL, NULL } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ds.n = 0;
		assert_name(acl_envelope(&conf, cases[i].sender, &ds),
		    cases[i].reason);
		assert_int_equal(ds.n, cases[i].domain != NULL);
		if (cases[i].domain != NULL)
			assert_string_equal(ds.name[0], cases[i].domain);
	}
}

static void
test_envelope_not_enforced(void **state)
{
	(void)state;
	conf.enforce = ENFORCE_HEADER;
	assert_name(acl_envelope(&conf, "a@[192.0.2.1]", &ds), REASON_NONE);
	assert_name(acl_envelope(&conf, "a@one.example", &ds), REASON_NONE);
	assert_int_equal(ds.n, 0);
}

static void
take(const char *line)
{
	header_line(&header, line, strlen(line));
}

static void
test_header(void **state)
{
	(void)state;
	take("From: a@two.example");
	assert_name(acl_envelope(&conf, "a@one.example", &ds), REASON_NONE);
	assert_name(acl_header(&conf, "a@one.example", &header, &ds),
	    REASON_NONE);
	assert_int_equal(ds.n, 2);
	assert_string_equal(ds.name[0], "one.example");
	assert_string_equal(ds.name[1], "two.example");
}

static void
test_header_refused(void **state)
{
	(void)state;
	assert_name(acl_header(&conf, "a@one.example", &header, &ds),
	    REASON_FROM_MISSING);
	take("From: a@[192.0.2.1]");
	assert_name(acl_header(&conf, "a@one.example", &header, &ds),
	    REASON_LITERAL);
}

/* A null sender leaves the header alone to judge by, whatever is enforced. */
static void
test_header_not_enforced(void **state)
{
	(void)state;
	conf.enforce = ENFORCE_ENVELOPE;
	take("From: a@two.example");
	assert_name(acl_header(&conf, "a@one.example", &header, &ds),
	    REASON_NONE);
	assert_int_equal(ds.n, 0);
	assert_name(acl_header(&conf, "", &header, &ds), REASON_NONE);
	assert_int_equal(ds.n, 1);
	assert_string_equal(ds.name[0], "two.example");
	header_clear(&header);
	assert_name(acl_header(&conf, "a@one.example", &header, &ds),
	    REASON_NONE);
	assert_name(acl_header(&conf, "", &header, &ds), REASON_FROM_MISSING);
}

/* Each mode, of each plan, with a domain of each kind. */
static void
test_modes(void **state)
{
	static const struct {
		enum user_mode mode;
		bool	       pro;
		enum reason    account; /* where it is the account's */
		enum reason    foreign;
	} rows[] = { { MODE_DEFAULT, false, REASON_NOT_ASSIGNED,
			 REASON_NOT_ASSIGNED },
		{ MODE_DEFAULT, true, REASON_NOT_ASSIGNED,
		    REASON_NOT_ASSIGNED },
		{ MODE_ALL, false, REASON_NONE, REASON_NOT_IN_ACCOUNT },
		{ MODE_ALL, true, REASON_NONE, REASON_NOT_IN_ACCOUNT },
		{ MODE_ANY, false, REASON_NONE, REASON_PLAN },
		{ MODE_ANY, true, REASON_NONE, REASON_SPF } };
	const char *domain;
	size_t	    i;

	(void)state;
	domains_add(&ds, "one.example");
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		user.mode = rows[i].mode;
		user.pro = rows[i].pro;
		user.assigned = 1;
		user.in_account = 0;
		assert_name(judge(&domain), REASON_NONE);
		user.in_account = 1;
		assert_name(judge(&domain), REASON_NONE);
		user.assigned = 0;
		assert_name(judge(&domain), rows[i].account);
		user.in_account = 0;
		assert_name(judge(&domain), rows[i].foreign);
		/* Bits of domains that were not asked about. */
		user.assigned = user.in_account = ~(uint32_t)1;
		assert_name(judge(&domain), rows[i].foreign);
	}
}

/* What SPF says decides about any domain alone. */
static void
test_spf(void **state)
{
	static const enum reason reasons[] = { [SPF_VERDICT_OK] = REASON_NONE,
		[SPF_VERDICT_NONE] = REASON_SPF_NONE,
		[SPF_VERDICT_SEVERAL] = REASON_SPF_SEVERAL,
		[SPF_VERDICT_SYNTAX] = REASON_SPF_SYNTAX,
		[SPF_VERDICT_NOT_INCLUDED] = REASON_SPF_INCLUDE,
		[SPF_VERDICT_NOT_PASS] = REASON_SPF_FAIL,
		[SPF_VERDICT_UNKNOWN] = REASON_SPF };
	struct spf_answer	 a = { .record = "v=spf1 -all" };
	struct verdict		 v;
	size_t			 i;

	(void)state;
	domains_add(&ds, "one.example");
	domains_add(&ds, "two.example");
	user.mode = MODE_ANY;
	user.pro = true;
	user.assigned = 1;
	answer = &a;
	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		a.verdict = (enum spf_verdict)i;
		v = acl_domains(&conf, &user, &ds, known, &user);
		assert_name(v.reason, reasons[i]);
		if (reasons[i] == REASON_NONE)
			continue;
		assert_string_equal(v.domain, "two.example");
		assert_string_equal(v.record, "v=spf1 -all");
	}
	conf.spf = SPF_OFF;
	v = acl_domains(&conf, &user, &ds, known, &user);
	assert_name(v.reason, REASON_NONE);
	user.pro = false;
	v = acl_domains(&conf, &user, &ds, known, &user);
	assert_name(v.reason, REASON_PLAN);
	assert_null(v.record);
}

static void
test_all_domains_count(void **state)
{
	char	    name[32];
	const char *domain = NULL;
	uint32_t    all = (1U << DOMAINS_MAX) - 1;
	int	    i;

	(void)state;
	assert_name(judge(&domain), REASON_NONE);
	for (i = 0; i < DOMAINS_MAX; i++) {
		snprintf(name, sizeof(name), "d%d.example", i);
		domains_add(&ds, name);
	}
	user.assigned = all;
	assert_name(judge(&domain), REASON_NONE);
	assert_null(domain);
	for (i = 0; i < DOMAINS_MAX; i++) {
		user.assigned = all & ~(1U << i);
		assert_name(judge(&domain), REASON_NOT_ASSIGNED);
		assert_string_equal(domain, ds.name[i]);
	}
	user.assigned = 1 << 3;
	assert_name(judge(&domain), REASON_NOT_ASSIGNED);
	assert_string_equal(domain, "d0.example");
}

static void
test_standing(void **state)
{
	struct netaddr source;

	(void)state;
	assert_true(netaddr_parse("192.0.2.1", &source));
	assert_int_equal(acl_standing(USER_NONE, NULL, &source, false),
	    STANDING_NOBODY);
	assert_int_equal(acl_standing(USER_NONE, NULL, &source, true),
	    STANDING_NOBODY);
	assert_int_equal(acl_standing(USER_BAD, NULL, &source, true),
	    STANDING_UNKNOWN);
	assert_int_equal(acl_standing(USER_UNAVAILABLE, NULL, &source, true),
	    STANDING_UNKNOWN);
	assert_int_equal(acl_standing(USER_OK, &user, &source, false),
	    STANDING_USER);
	user.status = STATUS_SANDBOXED;
	assert_int_equal(acl_standing(USER_OK, &user, &source, false),
	    STANDING_USER);
	user.status = STATUS_BLOCKED;
	assert_int_equal(acl_standing(USER_OK, &user, &source, false),
	    STANDING_NOBODY);
	assert_int_equal(acl_standing(USER_OK, &user, &source, true),
	    STANDING_NOBODY);
}

/* A list of which nothing could be read denies every source. */
static void
test_standing_source(void **state)
{
	struct netaddr source;

	(void)state;
	assert_true(netaddr_parse("192.0.2.1", &source));
	user.any_source = false;
	assert_int_equal(acl_standing(USER_OK, &user, &source, false),
	    STANDING_SOURCE);
	assert_int_equal(acl_standing(USER_OK, &user, &source, true),
	    STANDING_USER);
	user.status = STATUS_BLOCKED;
	assert_int_equal(acl_standing(USER_OK, &user, &source, false),
	    STANDING_NOBODY);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = { test(test_null_sender),
		test(test_envelope), test(test_envelope_not_enforced),
		test(test_header), test(test_header_refused),
		test(test_header_not_enforced), test(test_modes),
		test(test_spf), test(test_all_domains_count),
		test(test_standing), test(test_standing_source) };

	return (cmocka_run_group_tests_name("acl", tests, NULL, NULL));
}
