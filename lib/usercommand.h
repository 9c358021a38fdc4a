/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef USERCOMMAND_H
#define USERCOMMAND_H

#include <stdbool.h>

#include "domain.h"
#include "key.h"
#include "netaddr.h"
#include "user.h"
#include "userquestion.h"

/*
 * The commands that one question about a user is made of.  It is pure: nothing
 * is sent here.
 */

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

/* Whether it asks about the account, and not about the user. */
bool part_of_account(enum part_kind);

/* What is asked, and about whom. */
struct usertarget {
	const char		    *prefix; /* of the keys */
	const struct users_question *question;
	enum user_scope		     scope;   /* at most the question's */
	const char		    *name;    /* of the user */
	const char		    *account; /* its name */
};

/* Writes the key that a part is about, and returns it. */
const char *
usertarget_key(const struct usertarget *, enum part_kind, char[KEY_TEXT]);

#define USERCOMMAND_PREFIXES 129 /* of an IPv6 address, /0 to /128 */
#define USERCOMMAND_WORDS (2 + USERCOMMAND_PREFIXES)

struct usercommand {
	int	    argc;
	const char *argv[USERCOMMAND_WORDS]; /* ours, or the target's */
	char	    key[KEY_TEXT];
	char	    pattern[DOMAIN_TEXT + 2];
	char	    number[16];
	char	    prefix[USERCOMMAND_PREFIXES][NETADDR_TEXT];
};

/* Writes the command of a part.  The target and its question must stay. */
void usercommand_make(struct usercommand *, const struct usertarget *,
    enum part_kind);

#endif /* USERCOMMAND_H */
