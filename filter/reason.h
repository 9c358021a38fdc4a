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
	REASON_USER, /* gone or changed while it was under way */
	REASON_NOT_ASSIGNED,
	REASON_ADDRESS, /* another address of the domain is assigned */
	REASON_NOT_IN_ACCOUNT,
	REASON_PLAN,
	REASON_BOUNCE, /* one of these four, of a bounce */
	REASON_SPF,    /* up to what SPF says */
	REASON_SPF_NONE,
	REASON_SPF_SEVERAL,
	REASON_SPF_SYNTAX,
	REASON_SPF_INCLUDE,
	REASON_SPF_FAIL,
	REASON_SENDER,
	REASON_LITERAL,
	REASON_DOMAIN,
	REASON_FROM_MISSING,
	REASON_FROM_MULTIPLE,
	REASON_FROM_SPACE,
	REASON_FROM_LONG,
	REASON_FROM_ADDRESS,
	REASON_FROM_COMMA,
	REASON_FROM_ENCODED,
	REASON_FROM_FIELDS,
	REASON_FROM_ULABEL,
	REASON_FROM_AMBIGUOUS,
	REASON_HEADER,
	REASON_FIELD_NAME,
	REASON_HIDDEN_FROM,
	REASON_CONTROL,
	REASON_BODY,
	/* Not of reports, but of other refusals: */
	REASON_BLOCKED,
	REASON_NO_ACCOUNT, /* it is named, and not there */
	REASON_NO_LOGIN,   /* the user has neither password nor address */
	REASON_NOBODY,	   /* the session is no user's */
	REASON_ANOTHER,	   /* the source is another user's */
	REASON_SOURCE,
	REASON_NO_LIST,	 /* of sources, which must be there */
	REASON_LONG,	 /* the envelope sender */
	REASON_FAILURES, /* failed logins of the source */
	REASON_RECIPIENTS,
	REASON_RECIPIENT,  /* cannot be read */
	REASON_SUPPRESSED, /* the recipient gets no mail */
	REASON_SIZE,
	REASON_QUOTA,
	REASON_ACCOUNT_QUOTA,
	REASON_SENDER_QUOTA, /* of the domain */
	REASON_LIMITS,	     /* cannot be read */
	REASON_SANDBOX,
	REASON_DAMAGED,
	REASON_AWAY /* Redis: the last one */
};

#define REASONS (REASON_AWAY + 1)

/* The reason's name, such as "domain-not-assigned"; "" for REASON_NONE. */
const char *reason_name(enum reason);

#endif /* REASON_H */
