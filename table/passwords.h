/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef PASSWORDS_H
#define PASSWORDS_H

struct event_base;
struct passwords;
struct user;

/*
 * Verifies passwords for smtpd, which waits for one at a time.  Remembers the
 * results of late, and limits the time that smtpd waits for wrong passwords
 * (stall.h).
 */

enum passwords_answer {
	PASSWORDS_RIGHT,
	PASSWORDS_WRONG,
	PASSWORDS_FULL,	 /* too many wait to be verified */
	PASSWORDS_ERROR, /* the hash cannot be computed */
	PASSWORDS_LATER	 /* it is being verified */
};

/* After PASSWORDS_LATER: called from the event loop with the final answer. */
typedef void (*passwords_cb)(void *, enum passwords_answer);

/* NULL when out of memory or threads. */
struct passwords *passwords_new(struct event_base *, passwords_cb, void *);

/* Waits for computations under way, without a callback, and frees it. */
void passwords_free(struct passwords *);

/*
 * Verifies a password for a user who has one.  All strings are copied.  No
 * other password may be under way.
 */
enum passwords_answer
passwords_check(struct passwords *, const struct user *, const char *password);

/*
 * Stops waiting for the password under way, if any: the callback is not called.
 * The result is remembered for the next try of the client.
 */
void passwords_give_up(struct passwords *);

#endif /* PASSWORDS_H */
