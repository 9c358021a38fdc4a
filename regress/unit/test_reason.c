/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "unit.h"

#include "reason.h"

/* The names are the operator's: reports of last month still have them. */
static const struct {
	enum reason reason;
	const char *name;
} reasons[] = { { REASON_NONE, "" }, { REASON_ALARM, "alarm" },
	{ REASON_USER, "user" }, { REASON_NOT_ASSIGNED, "domain-not-assigned" },
	{ REASON_ADDRESS, "address-not-assigned" },
	{ REASON_NOT_IN_ACCOUNT, "domain-not-in-account" },
	{ REASON_PLAN, "plan" }, { REASON_BOUNCE, "bounce" },
	{ REASON_SPF, "spf" }, { REASON_SPF_NONE, "spf-none" },
	{ REASON_SPF_SEVERAL, "spf-multiple" },
	{ REASON_SPF_SYNTAX, "spf-syntax" },
	{ REASON_SPF_INCLUDE, "spf-include" }, { REASON_SPF_FAIL, "spf-fail" },
	{ REASON_SENDER, "sender-invalid" },
	{ REASON_LITERAL, "address-literal" },
	{ REASON_DOMAIN, "domain-invalid" },
	{ REASON_FROM_MISSING, "from-missing" },
	{ REASON_FROM_MULTIPLE, "from-multiple" },
	{ REASON_FROM_SPACE, "from-space" },
	{ REASON_FROM_LONG, "from-too-long" },
	{ REASON_FROM_ADDRESS, "from-address" },
	{ REASON_FROM_COMMA, "from-comma" },
	{ REASON_FROM_ENCODED, "from-encoded" },
	{ REASON_FROM_FIELDS, "from-fields" },
	{ REASON_FROM_ULABEL, "from-ulabel" },
	{ REASON_FROM_AMBIGUOUS, "from-ambiguous" },
	{ REASON_HEADER, "header-malformed" },
	{ REASON_FIELD_NAME, "header-name" },
	{ REASON_HIDDEN_FROM, "header-hidden-from" },
	{ REASON_CONTROL, "header-control" },
	{ REASON_BODY, "body-hidden-end" }, { REASON_BLOCKED, "user-blocked" },
	{ REASON_NO_ACCOUNT, "account-missing" },
	{ REASON_NO_LOGIN, "user-without-login" },
	{ REASON_NOBODY, "not-logged-in" },
	{ REASON_ANOTHER, "source-of-another-user" },
	{ REASON_SOURCE, "source-not-listed" },
	{ REASON_NO_LIST, "source-list-missing" },
	{ REASON_LONG, "sender-too-long" },
	{ REASON_FAILURES, "failed-logins" },
	{ REASON_RECIPIENTS, "too-many-recipients" },
	{ REASON_RECIPIENT, "recipient-unreadable" },
	{ REASON_SUPPRESSED, "recipient-suppressed" },
	{ REASON_SIZE, "too-large" }, { REASON_QUOTA, "quota" },
	{ REASON_ACCOUNT_QUOTA, "account-quota" },
	{ REASON_SENDER_QUOTA, "sender-quota" },
	{ REASON_LIMITS, "limits-unreadable" },
	{ REASON_SANDBOX, "sandboxed-meanwhile" },
	{ REASON_DAMAGED, "line-too-long" }, { REASON_AWAY, "redis-away" } };

#define NREASONS (sizeof(reasons) / sizeof(reasons[0]))

static void
test_names(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NREASONS; i++)
		assert_string_equal(reason_name(reasons[i].reason),
		    reasons[i].name);
}

/* One that was forgotten here or there has no name, or no place above. */
static void
test_complete(void **state)
{
	size_t i, k;

	(void)state;
	for (i = 0; i < NREASONS; i++) {
		assert_int_equal(reasons[i].reason, i);
		for (k = 0; k < i; k++)
			assert_string_not_equal(reason_name(reasons[k].reason),
			    reason_name(reasons[i].reason));
	}
	assert_int_equal(NREASONS, REASONS);
	assert_string_equal(reason_name((enum reason)REASONS), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_names),
		cmocka_unit_test(test_complete) };

	return (cmocka_run_group_tests_name("reason", tests, NULL, NULL));
}
