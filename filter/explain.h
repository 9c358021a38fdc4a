/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef EXPLAIN_H
#define EXPLAIN_H

struct conf;

/* The message that explain() is asked about. */
struct explain_question {
	const char *name;   /* of the user */
	const char *sender; /* envelope sender; "" is the null one */
	const char *header; /* fields, a line each; NULL: not asked */
	const char *source; /* address; NULL: any */
};

/*
 * Prints what the relay would answer to a message, and why, as decided by the
 * same code as for real messages: `key: value` lines of user, mode, plan,
 * account, status; then where, reply, reason and domain.  Returns an exit
 * status of sysexits(3): EX_OK when there is an answer, EX_USAGE, EX_NOUSER,
 * EX_DATAERR for an invalid record, EX_UNAVAILABLE without Redis.
 */
int explain(const struct conf *, const struct explain_question *);

#endif /* EXPLAIN_H */
