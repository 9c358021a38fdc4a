/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef REASON_H
#define REASON_H

/* Why a message is refused; the names are those of the reports. */
enum reason {
	REASON_NONE,
	REASON_ALARM,
	REASON_USER_CHANGED, /* gone or changed while it was under way */
	REASON_DOMAIN_NOT_ASSIGNED,
	REASON_ADDRESS_NOT_ASSIGNED, /* another address of the domain is assigned */
	REASON_DOMAIN_NOT_IN_ACCOUNT,
	REASON_PLAN_NOT_PRO,
	REASON_BOUNCE,	    /* any of these four, for a bounce */
	REASON_SPF_UNKNOWN, /* SPF was not known in time */
	REASON_SPF_NONE,
	REASON_SPF_MULTIPLE,
	REASON_SPF_SYNTAX,
	REASON_SPF_INCLUDE,
	REASON_SPF_FAIL,
	REASON_SENDER_INVALID,
	REASON_ADDRESS_LITERAL,
	REASON_DOMAIN_INVALID,
	REASON_FROM_MISSING,
	REASON_FROM_MULTIPLE,
	REASON_FROM_SPACE,
	REASON_FROM_TOO_LONG,
	REASON_FROM_ADDRESS,
	REASON_FROM_COMMA,
	REASON_FROM_ENCODED,
	REASON_FROM_FIELDS,
	REASON_FROM_ULABEL,
	REASON_FROM_AMBIGUOUS,
	REASON_HEADER_MALFORMED,
	REASON_HEADER_NAME,
	REASON_HEADER_HIDDEN_FROM,
	REASON_HEADER_CONTROL,
	REASON_BODY_HIDDEN_END,
	/* Not of reports, but of other refusals: */
	REASON_USER_BLOCKED,
	REASON_ACCOUNT_MISSING,	   /* the user names one that does not exist */
	REASON_USER_WITHOUT_LOGIN, /* the user has neither password nor address */
	REASON_NOT_LOGGED_IN,
	REASON_SOURCE_OF_ANOTHER_USER, /* it authenticates another user */
	REASON_SOURCE_NOT_LISTED,
	REASON_SOURCE_LIST_MISSING, /* of a restricted user */
	REASON_SENDER_TOO_LONG,	    /* the envelope sender */
	REASON_FAILED_LOGINS,	    /* too many, of the source */
	REASON_TOO_MANY_RECIPIENTS,
	REASON_RECIPIENT_UNREADABLE,
	REASON_RECIPIENT_SUPPRESSED, /* the recipient gets no mail */
	REASON_TOO_LARGE,
	REASON_QUOTA,
	REASON_ACCOUNT_QUOTA,
	REASON_SENDER_QUOTA,	  /* of the domain */
	REASON_LIMITS_UNREADABLE, /* or the counters are */
	REASON_SANDBOXED_MEANWHILE,
	REASON_LINE_TOO_LONG,
	REASON_RECORD_INVALID,	 /* the user's, or the account's */
	REASON_REDIS_UNAVAILABLE /* the last one */
};

#define REASONS (REASON_REDIS_UNAVAILABLE + 1)

/* The reason's name, such as "domain-not-assigned"; "" for REASON_NONE. */
const char *reason_name(enum reason);

#endif /* REASON_H */
