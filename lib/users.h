/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef USERS_H
#define USERS_H

#include <stdbool.h>

#include "user.h"
#include "userquestion.h"

struct conf;
struct servers;
struct users;
struct users_query;

/*
 * Questions to Redis about users.  Everything that a decision needs is asked in
 * one round trip, whatever the size of the user's lists.  What is not known
 * beforehand (the account's name, whom an address authenticates, whether a list
 * is long) is guessed from the last answer about the same user or address.  A
 * wrong guess costs another round trip; it never decides.
 *
 * A question about a login asks for the few fields that suffice for a user who
 * may log in.  For a blocked user, and an account without these fields, the
 * others are asked for in another round trip.
 */

enum users_found {
	USER_UNASKED, /* no answer */
	USER_OK,
	USER_NONE,	 /* no such user */
	USER_BAD,	 /* the record is invalid: logged */
	USER_UNAVAILABLE /* Redis is unreachable */
};

/* The user is NULL unless it is USER_OK, and valid during the call only. */
typedef void (*users_cb)(void *, enum users_found, const struct user *);

/* Both arguments must outlive it.  NULL when out of memory. */
struct users *users_new(struct servers *, const struct conf *);

/* Uses other servers from now on; queries under way go on. */
void users_use(struct users *, struct servers *, const struct conf *);

/* Frees it.  No query may be under way. */
void users_free(struct users *);

/* Logs that a field of a key is invalid, and what to type to learn more. */
void users_log_bad(const char *key, const char *what);

/*
 * Asks.  The user of an address is the one whom ip:{ADDR} names and whose
 * ip_auth is the address.  Calls back exactly once, from the event loop.  NULL,
 * without a callback, when Redis is unreachable.
 */
struct users_query *
users_ask(struct users *, const struct users_question *, users_cb, void *);

/* Cancels and frees it: the callback is not called. */
void users_cancel(struct users_query *);

/*
 * Guesses whether the user of a question, or the account, has limits, so that
 * these can be asked about in the same round trip.  Writes the user's name, and
 * the account's if it has limits, else "".
 */
bool users_guess_limited(const struct users *, const struct users_question *,
    char name[USER_NAME_MAX + 1], char account[USER_NAME_MAX + 1]);

#endif /* USERS_H */
