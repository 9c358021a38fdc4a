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
	{ REASON_USER_CHANGED, "user-changed" },
	{ REASON_DOMAIN_NOT_ASSIGNED, "domain-not-assigned" },
	{ REASON_ADDRESS_NOT_ASSIGNED, "address-not-assigned" },
	{ REASON_DOMAIN_NOT_IN_ACCOUNT, "domain-not-in-account" },
	{ REASON_PLAN_NOT_PRO, "plan-not-pro" }, { REASON_BOUNCE, "bounce" },
	{ REASON_SPF_UNKNOWN, "spf-unknown" }, { REASON_SPF_NONE, "spf-none" },
	{ REASON_SPF_MULTIPLE, "spf-multiple" },
	{ REASON_SPF_SYNTAX, "spf-syntax" },
	{ REASON_SPF_INCLUDE, "spf-include" }, { REASON_SPF_FAIL, "spf-fail" },
	{ REASON_SENDER_INVALID, "sender-invalid" },
	{ REASON_ADDRESS_LITERAL, "address-literal" },
	{ REASON_DOMAIN_INVALID, "domain-invalid" },
	{ REASON_FROM_MISSING, "from-missing" },
	{ REASON_FROM_MULTIPLE, "from-multiple" },
	{ REASON_FROM_SPACE, "from-space" },
	{ REASON_FROM_TOO_LONG, "from-too-long" },
	{ REASON_FROM_ADDRESS, "from-address" },
	{ REASON_FROM_COMMA, "from-comma" },
	{ REASON_FROM_ENCODED, "from-encoded" },
	{ REASON_FROM_FIELDS, "from-fields" },
	{ REASON_FROM_ULABEL, "from-ulabel" },
	{ REASON_FROM_AMBIGUOUS, "from-ambiguous" },
	{ REASON_HEADER_MALFORMED, "header-malformed" },
	{ REASON_HEADER_NAME, "header-name" },
	{ REASON_HEADER_HIDDEN_FROM, "header-hidden-from" },
	{ REASON_HEADER_CONTROL, "header-control" },
	{ REASON_BODY_HIDDEN_END, "body-hidden-end" },
	{ REASON_USER_BLOCKED, "user-blocked" },
	{ REASON_ACCOUNT_MISSING, "account-missing" },
	{ REASON_USER_WITHOUT_LOGIN, "user-without-login" },
	{ REASON_NOT_LOGGED_IN, "not-logged-in" },
	{ REASON_SOURCE_OF_ANOTHER_USER, "source-of-another-user" },
	{ REASON_SOURCE_NOT_LISTED, "source-not-listed" },
	{ REASON_SOURCE_LIST_MISSING, "source-list-missing" },
	{ REASON_SENDER_TOO_LONG, "sender-too-long" },
	{ REASON_FAILED_LOGINS, "failed-logins" },
	{ REASON_TOO_MANY_RECIPIENTS, "too-many-recipients" },
	{ REASON_RECIPIENT_UNREADABLE, "recipient-unreadable" },
	{ REASON_RECIPIENT_SUPPRESSED, "recipient-suppressed" },
	{ REASON_TOO_LARGE, "too-large" }, { REASON_QUOTA, "quota" },
	{ REASON_ACCOUNT_QUOTA, "account-quota" },
	{ REASON_SENDER_QUOTA, "sender-quota" },
	{ REASON_LIMITS_UNREADABLE, "limits-unreadable" },
	{ REASON_SANDBOXED_MEANWHILE, "sandboxed-meanwhile" },
	{ REASON_LINE_TOO_LONG, "line-too-long" },
	{ REASON_RECORD_INVALID, "record-invalid" },
	{ REASON_REDIS_UNAVAILABLE, "redis-unavailable" } };

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
