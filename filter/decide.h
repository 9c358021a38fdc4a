/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef DECIDE_H
#define DECIDE_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>

#include "reason.h"
#include "senders.h"
#include "session.h"
#include "user.h"
#include "users.h"

struct conf;
struct spf_answer;

/*
 * The policy, and nothing else: facts go in, a decision comes out.  The
 * decision may be to ask for one more fact.  The caller then fetches it and
 * calls again; the order of checks is known here alone.
 */

/* At which point of the session smtpd asks. */
enum stage {
	STAGE_CONNECT,
	STAGE_AUTH,
	STAGE_LOGIN, /* what smtpd itself decides at AUTH: for explain */
	STAGE_MAIL_FROM,
	STAGE_RCPT_TO,
	STAGE_END_OF_DATA
};

enum logins_fact {
	LOGINS_UNASKED,
	LOGINS_OK,
	LOGINS_FAILED, /* too often */
	LOGINS_UNKNOWN
};

enum password_fact {
	PASSWORD_UNASKED,
	PASSWORD_FITS,
	PASSWORD_FITS_NOT /* or it could not be verified */
};

enum room_fact {
	ROOM_UNASKED,
	ROOM_THERE,
	ROOM_NONE,	/* room_reply says until when */
	ROOM_BLOCKED,	/* an alarm has blocked the user */
	ROOM_SANDBOXED, /* an alarm has sandboxed the user */
	ROOM_UNKNOWN	/* the record is invalid, or Redis unreachable */
};

enum recipient_fact {
	RECIPIENT_UNASKED,
	RECIPIENT_FREE,
	RECIPIENT_SUPPRESSED, /* gets no mail */
	RECIPIENT_UNKNOWN     /* Redis is unreachable */
};

enum spf_fact {
	SPF_UNASKED,
	SPF_LATER,  /* being looked up; judged at the end of data */
	SPF_KNOWN,  /* spf_answer is set */
	SPF_UNKNOWN /* it could not be looked up */
};

struct facts {
	enum stage	      stage;
	const struct conf    *conf;
	const struct session *session; /* with its message, if any */

	/* At connect, of the source. */
	enum logins_fact logins;

	/* At AUTH: whether the client shows its password there. */
	bool		   shows_password;
	enum password_fact password;

	/* At MAIL FROM: longer than SENDER_TEXT holds. */
	bool sender_too_long;
	/* At MAIL FROM: who alone may be the session's user, or NULL. */
	const char *expected;
	/* Of the envelope; of the header too at the end of data. */
	const struct senders *senders;

	/* At RCPT TO: its domain, and the address if it is one; or nothing. */
	const struct domains *recipient;
	enum recipient_fact   suppressed;

	/* The user of the session, with what was asked about the source. */
	enum users_found   found;
	const struct user *user; /* for USER_OK */
	/* The domain whose assigned addresses were asked about, or NULL. */
	const char *addresses;

	/* Of each of the senders' domains. */
	enum spf_fact		 spf[DOMAINS_MAX];
	const struct spf_answer *spf_answer[DOMAINS_MAX];

	enum room_fact	 room;
	const char	*room_reply;
	const char	*room_refusal; /* a permanent reply */
	bool		 room_passing; /* defer: there may be room after all */
	bool		 room_never;   /* room_reply is for good as well */
	enum quota_whose room_whose;   /* for ROOM_NONE */
	const char	*room_domain;  /* QUOTA_OF_SENDER */
};

enum action {
	ACTION_PROCEED,
	ACTION_SANDBOX,	   /* proceed, and deliver nowhere */
	ACTION_REJECT,	   /* with the reply */
	ACTION_DISCONNECT, /* with the reply */
	ACTION_BLOCK,	   /* with the reply that names a report */
	/* Or ask for: */
	ACTION_ASK_LOGINS,
	ACTION_ASK_USER,
	ACTION_ASK_ADDRESSES, /* of the domain, and the user again */
	ACTION_ASK_PASSWORD,
	ACTION_ASK_SPF, /* of the domain */
	ACTION_ASK_ROOM,
	ACTION_ASK_SUPPRESSED /* the recipient */
};

/* What a refusal means to the client. */
enum outcome {
	OUTCOME_FOR_GOOD, /* 5yz */
	OUTCOME_FOR_NOW,  /* 4yz: what is in the way passes */
	OUTCOME_UNDECIDED /* 4yz: something could not be asked or kept */
};

struct decision {
	enum action  action;
	enum outcome outcome; /* ACTION_REJECT, _DISCONNECT, _BLOCK */
	const char  *reply;   /* ACTION_REJECT, ACTION_DISCONNECT */
	enum reason  reason;  /* of all three */
	const char  *domain;  /* that the reason is about, or NULL */
	const char  *record;  /* its SPF record, or NULL */
	size_t	     which; /* ACTION_ASK_SPF, _ADDRESSES: index of a sender */
	int64_t	     limit; /* for a %d in the reply, or 0 */
};

/* Longest reply, with its NUL. */
#define DECISION_REPLY 160

/* The replies that are always the same: RFC 5321 4.2, RFC 3463. */
#define REPLY_AUTH_REQUIRED "530 5.7.0 Authentication required"
#define REPLY_AUTH_FAILED "535 Authentication failed"
#define REPLY_SOURCE "535 5.7.8 IP not authorized"
#define REPLY_TEMPFAIL "451 4.3.0 Temporary failure"
#define REPLY_FAILURES "421 4.7.0 Too many failed logins, try again later"
#define REPLY_AWAY "421 4.3.0 Temporary failure"
#define REPLY_SPF                                \
	"451 4.4.3 SPF could not be looked up, " \
	"try again later"

#define REPLY_RECIPIENTS_FORMAT \
	"452 4.5.3 Too many recipients, at most %" PRId64 " in a message"
#define REPLY_RECIPIENT "550 5.1.3 The recipient's domain cannot be read"
#define REPLY_SUPPRESSED \
	"550 5.7.1 [SUPPRESSED] This recipient gets no mail from you"
#define REPLY_SIZE_FORMAT \
	"552 5.3.4 Message too large, at most %" PRId64 " bytes"

/* Decides.  The pointers of the decision are those of the facts. */
struct decision decide(const struct facts *);

/*
 * What is decided at a stage where something needed for a decision cannot be
 * had.  REASON_NONE: memory.
 */
struct decision decide_tempfail(enum stage, enum reason);

/* Returns the reply, with the limit filled in. */
const char *decide_reply(const struct decision *, char[DECISION_REPLY]);

/*
 * Opens the message that MAIL FROM was let through for, by that decision: whose
 * it is, and what it is held to from then on.  The user is NULL where a local
 * session is trusted.
 */
void decide_open(struct tx *, const struct conf *, const struct user *,
    const struct decision *);

/* Whether alarms count the message: not that of a sandboxed user. */
bool decide_alarmed(const struct facts *);

#endif /* DECIDE_H */
