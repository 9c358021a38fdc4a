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
 * Whether passwords are right, of which smtpd waits for one at a time.  What
 * was verified lately is remembered, and what wrong ones make smtpd stand still
 * has a share of its time (stall.h).
 */

enum passwords_answer {
	PASSWORDS_RIGHT,
	PASSWORDS_WRONG,
	PASSWORDS_FULL,	 /* too many are to be verified */
	PASSWORDS_ERROR, /* the hash cannot be computed */
	PASSWORDS_LATER	 /* it is being verified */
};

/* For PASSWORDS_LATER: comes from the event loop, with another answer. */
typedef void (*passwords_cb)(void *, enum passwords_answer);

/* NULL when out of memory or of threads. */
struct passwords *passwords_new(struct event_base *, passwords_cb, void *);

/* Waits for computations under way; there is no callback any more. */
void passwords_free(struct passwords *);

/*
 * Whether the password is the user's, who has one.  All strings are copied.
 * None may be waited for.
 */
enum passwords_answer
passwords_check(struct passwords *, const struct user *, const char *password);

/*
 * smtpd has waited long enough for the one under way, if any: its callback is
 * not called.  What comes out is then known when the client tries again.
 */
void passwords_give_up(struct passwords *);

#endif /* PASSWORDS_H */
