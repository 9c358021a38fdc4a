/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef USERREPLIES_H
#define USERREPLIES_H

#include <stdbool.h>

#include "user.h"
#include "usercommand.h"

/*
 * What the replies to the commands of usercommand.h tell.  It is pure: nothing
 * is asked here.
 */

/* What is wrong with a key. */
struct fault {
	const char    *what; /* NULL: nothing */
	enum part_kind part; /* that asked about the key */
};

/* All zeros, but for what is asked of the records, before the first reply. */
struct userreplies {
	enum user_scope scope; /* at most the question's */
	struct user	user;
	struct account	account;     /* that was asked about */
	bool		exists;	     /* does the user */
	bool		long_list;   /* of sources */
	bool		in_prefixes; /* is the source, in a long one */
	char		owner[USER_NAME_MAX + 1]; /* of the address */
	struct fault	bad;
	struct fault	bad_account; /* the same of what was guessed */
	bool		too_large;   /* is what is bad */
	bool		list_is_large;
	bool		unavailable; /* is Redis */
};

/* What is said to be wrong with a value that cannot be read for its size. */
#define USERREPLIES_TOO_LARGE "too large"

/*
 * Takes the reply to a part of the question, or REDIS_NO_REPLY.  A value of the
 * wrong type or size is the record's fault; every other error is Redis's.
 */
void userreplies_take(struct userreplies *, enum part_kind,
    const struct users_question *, const struct redisReply *);

#endif /* USERREPLIES_H */
