/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef GUESS_H
#define GUESS_H

#include <stdbool.h>
#include <time.h>

#include "netaddr.h"
#include "user.h"

/*
 * Remembers of the last answer about a user or an address what the next
 * question depends on.  The memory is bounded: of names whose hashes fall into
 * one set the last four are remembered.
 */

struct guesses;

struct guess {
	char   name[USER_NAME_MAX + 1];
	char   account[USER_NAME_MAX + 1]; /* "": none */
	bool   limited;
	bool   account_limited;
	bool   long_list;   /* of sources */
	time_t large_until; /* seconds, monotonic; 0: it is not too large */
};

/* NULL when out of memory. */
struct guesses *guesses_new(void);
void		guesses_free(struct guesses *);

/*
 * What is remembered of a user; and the user of an address.  NULL when nothing
 * is.  Valid until the next answer is remembered.
 */
const struct guess *guess_user(const struct guesses *, const char *name);
const char *guess_address(const struct guesses *, const struct netaddr *);

/* Remember the last answer.  With a name of NULL the address is forgotten. */
void guess_learn_user(struct guesses *, const struct guess *);
void
guess_learn_address(struct guesses *, const struct netaddr *, const char *name);

#endif /* GUESS_H */
