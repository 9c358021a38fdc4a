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
struct filter;
struct users_question;

/*
 * Asks whether a message has room in the limits and alarms of a user and the
 * user's account, as one of the facts of an inquiry.
 */
struct room {
	struct filter *filter;
	struct facts  *facts; /* room is written there */
	bool	       dry;   /* reserve nothing */
	void (*cb)(void *);
	void		   *arg;
	struct quota_query *query;
	char		    name[USER_NAME_MAX + 1]; /* whose room */
	char		    account[USER_NAME_MAX + 1];
	char		    domain[DOMAIN_TEXT];
	char		    reply[QUOTA_REPLY];
	char		    refusal[QUOTA_REPLY];
};

/*
 * Asks for room of a user, and of an account if that is not "".  When the answer
 * has come, it is in the facts, and the callback is called; at once and without
 * a callback, ROOM_UNKNOWN, if memory is short.  At the end of data the room is
 * reserved.
 */
void room_ask(struct room *, const char *name, const char *account);

/*
 * The same along with a question about the user, if the last answer about the
 * user makes it likely that room is needed: it is given back should it not be.
 */
void room_ask_if_likely(struct room *, const struct users_question *);

/* Whether an answer is to come. */
bool room_is_asked(const struct room *);

/*
 * Whether the room that was asked for is not this user's, by the limits of this
 * user's account.  The user may be NULL.
 */
bool room_is_others(const struct room *, const struct user *);

/* Gives back what was asked for; the fact is unasked again. */
void room_forget(struct room *);

/* Ends it without a callback: gives back what a message does not need. */
void room_end(struct room *);

#endif /* ROOM_H */
