/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef ROOM_H
#define ROOM_H

#include <stdbool.h>

#include "domain.h"
#include "quota.h"
#include "user.h"

struct facts;
struct quotas;
struct users;
struct users_question;

/*
 * Asks whether a message has room in the limits and alarms of a user and the
 * user's account, as one of the facts of an inquiry.
 */
struct room {
	const struct quotas *quotas;
	const struct users  *users;
	struct facts	    *facts; /* room is written there */
	bool		     dry;   /* reserve nothing */
	void (*cb)(void *);
	void		   *arg;
	struct quota_query *query;
	char		    name[USER_NAME_MAX + 1]; /* of the user */
	char		    account[USER_NAME_MAX + 1];
	char		    domain[DOMAIN_TEXT];
	char		    reply[QUOTA_REPLY];
	char		    refusal[QUOTA_REPLY];
};

/*
 * Asks whether a user, and the account if that is not "", has room; reserves it
 * at the end of data.  The answer is written to the facts, and then the
 * callback is called.  When out of memory the fact becomes ROOM_UNKNOWN at
 * once, without a callback.
 */
void room_ask(struct room *, const char *name, const char *account);

/*
 * The same, together with a question about the user, if the last answer about
 * the user makes it likely that room is needed.
 */
void room_ask_if_likely(struct room *, const struct users_question *);

/* Whether an answer is still to come. */
bool room_is_asked(const struct room *);

/*
 * Whether the room was asked for another user or account than that of this
 * user, who may be NULL.
 */
bool room_is_others(const struct room *, const struct user *);

/* Gives the room back; the fact becomes ROOM_UNASKED again. */
void room_forget(struct room *);

/* Ends it without a callback, and gives back room that was not used. */
void room_end(struct room *);

#endif /* ROOM_H */
