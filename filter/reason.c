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
	case REASON_USER:
		return ("user");
	case REASON_NOT_ASSIGNED:
		return ("domain-not-assigned");
	case REASON_ADDRESS:
		return ("address-not-assigned");
	case REASON_NOT_IN_ACCOUNT:
		return ("domain-not-in-account");
	case REASON_PLAN:
		return ("plan");
	case REASON_BOUNCE:
		return ("bounce");
	case REASON_SPF:
		return ("spf");
	case REASON_SPF_NONE:
		return ("spf-none");
	case REASON_SPF_SEVERAL:
		return ("spf-multiple");
	case REASON_SPF_SYNTAX:
		return ("spf-syntax");
	case REASON_SPF_INCLUDE:
		return ("spf-include");
	case REASON_SPF_FAIL:
		return ("spf-fail");
	case REASON_SENDER:
		return ("sender-invalid");
	case REASON_LITERAL:
		return ("address-literal");
	case REASON_DOMAIN:
		return ("domain-invalid");
	case REASON_FROM_MISSING:
		return ("from-missing");
	case REASON_FROM_MULTIPLE:
		return ("from-multiple");
	case REASON_FROM_SPACE:
		return ("from-space");
	case REASON_FROM_LONG:
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
	case REASON_HEADER:
		return ("header-malformed");
	case REASON_FIELD_NAME:
		return ("header-name");
	case REASON_HIDDEN_FROM:
		return ("header-hidden-from");
	case REASON_CONTROL:
		return ("header-control");
	case REASON_BODY:
		return ("body-hidden-end");
	case REASON_BLOCKED:
		return ("user-blocked");
	case REASON_NO_ACCOUNT:
		return ("account-missing");
	case REASON_NO_LOGIN:
		return ("user-without-login");
	case REASON_NOBODY:
		return ("not-logged-in");
	case REASON_ANOTHER:
		return ("source-of-another-user");
	case REASON_SOURCE:
		return ("source-not-listed");
	case REASON_NO_LIST:
		return ("source-list-missing");
	case REASON_LONG:
		return ("sender-too-long");
	case REASON_FAILURES:
		return ("failed-logins");
	case REASON_RECIPIENTS:
		return ("too-many-recipients");
	case REASON_RECIPIENT:
		return ("recipient-unreadable");
	case REASON_SUPPRESSED:
		return ("recipient-suppressed");
	case REASON_SIZE:
		return ("too-large");
	case REASON_QUOTA:
		return ("quota");
	case REASON_ACCOUNT_QUOTA:
		return ("account-quota");
	case REASON_SENDER_QUOTA:
		return ("sender-quota");
	case REASON_LIMITS:
		return ("limits-unreadable");
	case REASON_SANDBOX:
		return ("sandboxed-meanwhile");
	case REASON_DAMAGED:
		return ("line-too-long");
	case REASON_AWAY:
		return ("redis-away");
	}
	return ("");
}
