/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef USERS_H
#define USERS_H

#include <stdbool.h>

#include "domain.h"
#include "user.h"

struct conf;
struct servers;
struct users;
struct users_query;

/*
 * Questions to Redis about users.  All that a decision needs is asked in one
 * go, whatever the size of the user's lists.  What is not known beforehand
 * (the account's name, whom an address authenticates, whether a list is long)
 * is guessed from the last answer about the same user or address.  A guess
 * that was wrong costs another round trip; it never decides.
 *
 * Whether somebody may log in is asked with as few fields as can tell it of
 * those who may.  Of a user who is blocked, and of an account that shows none
 * of these fields, the others are asked for in another round trip.
 */

enum users_found {
	USER_OK,
	USER_NONE,	 /* no such user */
	USER_BAD,	 /* the record cannot be understood: logged */
	USER_UNAVAILABLE /* Redis cannot be asked */
};

/* What is asked.  The pointers must stay good until there is the answer. */
struct users_question {
	const char	     *name;    /* folded; NULL: who is of the address */
	const struct netaddr *address; /* that authenticates, where no name */
	const struct netaddr *source;  /* that may be listed; NULL: unasked */
	const struct domains *domains; /* to be looked up; NULL: none */
	const char     *addresses;     /* whether any is of it; NULL: unasked */
	bool		suppresses;    /* whether recipients get no mail */
	enum user_scope scope;	       /* USER_LOGIN leaves the rest unset */
};

/* The user is there for USER_OK alone, and only during the call. */
typedef void (*users_cb)(void *, enum users_found, const struct user *);

/* Both must outlive it.  NULL when out of memory. */
struct users *users_new(struct servers *, const struct conf *);

/* From now on asks these, by this; queries that are under way go on. */
void users_use(struct users *, struct servers *, const struct conf *);

/* No query may be left. */
void users_free(struct users *);

/* Logs that a key holds what cannot be understood, and how to find out more. */
void users_log_bad(const char *key, const char *what);

/*
 * Asks.  Of an address it is the user whom ip:{ADDR} names and whose ip_auth
 * is the address.  Calls back exactly once, from the event loop.  NULL, without
 * a callback, when Redis cannot be asked.
 */
struct users_query *
users_ask(struct users *, const struct users_question *, users_cb, void *);

/* Cancels and frees it: the callback is not called. */
void users_cancel(struct users_query *);

/*
 * Guesses whether the user of a question, or the account, will turn out to have
 * limits, and writes the name that is guessed, and that of the account where it
 * has, or "".  For asking about all in one go.
 */
bool users_guess_limited(const struct users *, const struct users_question *,
    char name[USER_NAME_MAX + 1], char account[USER_NAME_MAX + 1]);

#endif /* USERS_H */
