/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef USERREPLIES_H
#define USERREPLIES_H

#include <stdbool.h>

#include "user.h"
#include "users.h"

/*
 * What a question about a user is made of in Redis, and what the replies tell.
 * It is pure: nothing is asked here.
 */

/* The commands that one question is made of. */
enum part_kind {
	PART_OWNER,		 /* GET ip:{ADDR} */
	PART_RECORD,		 /* HMGET user:{NAME} */
	PART_DOMAINS,		 /* SMISMEMBER user:{NAME}:domains */
	PART_ADDRESSES,		 /* SSCAN user:{NAME}:domains */
	PART_LIST,		 /* SRANDMEMBER user:{NAME}:ips, if short */
	PART_LENGTH,		 /* SCARD user:{NAME}:ips, if long */
	PART_PREFIXES,		 /* SMISMEMBER user:{NAME}:ips, if long */
	PART_ACCOUNT,		 /* HMGET account:{NAME} */
	PART_ACCOUNT_DOMAINS,	 /* SMISMEMBER account:{NAME}:domains */
	PART_SUPPRESSED,	 /* ZCARD user:{NAME}:suppressed */
	PART_ACCOUNT_SUPPRESSED, /* ZCARD account:{NAME}:suppressed */
	PART_RECORD_SIZE,	 /* MEMORY USAGE user:{NAME} */
	PART_LIST_SIZE,		 /* MEMORY USAGE user:{NAME}:ips */
	PART_ACCOUNT_SIZE,	 /* MEMORY USAGE account:{NAME} */
	NPARTS
};

/* What is wrong with a key. */
struct fault {
	const char    *what; /* NULL: nothing */
	enum part_kind part; /* that asked about the key */
};

/* All zeros, but for what is asked of the records, before the first reply. */
struct userreplies {
	enum user_scope scope; /* at most the question's */
	struct user	user;
	struct user	of_account; /* plan, status, prefix, in_account */
	bool		exists;
	bool		long_list;
	bool		in_prefixes;
	char		owner[USER_NAME_MAX + 1]; /* of the address */
	struct fault	bad;
	struct fault	bad_account; /* the same of what was guessed */
	bool		too_large;   /* is what is bad */
	bool		list_is_large;
	bool		unavailable; /* is Redis */
};

/* What is said to be wrong with a value that cannot be read for its size. */
#define USERREPLIES_TOO_LARGE "too large"

/* Whether it asks about the account, and not about the user. */
bool part_of_account(enum part_kind);

/*
 * Takes the reply to a part of the question, or REDIS_NO_REPLY.  A value of the
 * wrong type or size is the record's fault; every other error is Redis's.
 */
void userreplies_take(struct userreplies *, enum part_kind,
    const struct users_question *, const struct redisReply *);

#endif /* USERREPLIES_H */
