/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include "reason.h"

const char *
reason_name(enum reason reason)
{
	switch (reason) {
	case REASON_NONE:
		break;
	case REASON_ALARM:
		return ("alarm");
	case REASON_USER_CHANGED:
		return ("user-changed");
	case REASON_DOMAIN_NOT_ASSIGNED:
		return ("domain-not-assigned");
	case REASON_ADDRESS_NOT_ASSIGNED:
		return ("address-not-assigned");
	case REASON_DOMAIN_NOT_IN_ACCOUNT:
		return ("domain-not-in-account");
	case REASON_PLAN_NOT_PRO:
		return ("plan-not-pro");
	case REASON_BOUNCE:
		return ("bounce");
	case REASON_SPF_UNKNOWN:
		return ("spf-unknown");
	case REASON_SPF_NONE:
		return ("spf-none");
	case REASON_SPF_MULTIPLE:
		return ("spf-multiple");
	case REASON_SPF_SYNTAX:
		return ("spf-syntax");
	case REASON_SPF_INCLUDE:
		return ("spf-include");
	case REASON_SPF_FAIL:
		return ("spf-fail");
	case REASON_SENDER_INVALID:
		return ("sender-invalid");
	case REASON_ADDRESS_LITERAL:
		return ("address-literal");
	case REASON_DOMAIN_INVALID:
		return ("domain-invalid");
	case REASON_FROM_MISSING:
		return ("from-missing");
	case REASON_FROM_MULTIPLE:
		return ("from-multiple");
	case REASON_FROM_SPACE:
		return ("from-space");
	case REASON_FROM_TOO_LONG:
		return ("from-too-long");
	case REASON_FROM_ADDRESS:
		return ("from-address");
	case REASON_FROM_COMMA:
		return ("from-comma");
	case REASON_FROM_ENCODED:
		return ("from-encoded");
	case REASON_FROM_FIELDS:
		return ("from-fields");
	case REASON_FROM_ULABEL:
		return ("from-ulabel");
	case REASON_FROM_AMBIGUOUS:
		return ("from-ambiguous");
	case REASON_HEADER_MALFORMED:
		return ("header-malformed");
	case REASON_HEADER_NAME:
		return ("header-name");
	case REASON_HEADER_HIDDEN_FROM:
		return ("header-hidden-from");
	case REASON_HEADER_CONTROL:
		return ("header-control");
	case REASON_BODY_HIDDEN_END:
		return ("body-hidden-end");
	case REASON_USER_BLOCKED:
		return ("user-blocked");
	case REASON_ACCOUNT_MISSING:
		return ("account-missing");
	case REASON_USER_WITHOUT_LOGIN:
		return ("user-without-login");
	case REASON_NOT_LOGGED_IN:
		return ("not-logged-in");
	case REASON_SOURCE_OF_ANOTHER_USER:
		return ("source-of-another-user");
	case REASON_SOURCE_NOT_LISTED:
		return ("source-not-listed");
	case REASON_SOURCE_LIST_MISSING:
		return ("source-list-missing");
	case REASON_SENDER_TOO_LONG:
		return ("sender-too-long");
	case REASON_FAILED_LOGINS:
		return ("failed-logins");
	case REASON_TOO_MANY_RECIPIENTS:
		return ("too-many-recipients");
	case REASON_RECIPIENT_UNREADABLE:
		return ("recipient-unreadable");
	case REASON_RECIPIENT_SUPPRESSED:
		return ("recipient-suppressed");
	case REASON_TOO_LARGE:
		return ("too-large");
	case REASON_QUOTA:
		return ("quota");
	case REASON_ACCOUNT_QUOTA:
		return ("account-quota");
	case REASON_SENDER_QUOTA:
		return ("sender-quota");
	case REASON_LIMITS_UNREADABLE:
		return ("limits-unreadable");
	case REASON_SANDBOXED_MEANWHILE:
		return ("sandboxed-meanwhile");
	case REASON_LINE_TOO_LONG:
		return ("line-too-long");
	case REASON_RECORD_INVALID:
		return ("record-invalid");
	case REASON_REDIS_UNAVAILABLE:
		return ("redis-unavailable");
	}
	return ("");
}
