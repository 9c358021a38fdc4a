/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef USER_H
#define USER_H

#include <crypt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netaddr.h"

struct conf;
struct domains;
struct redisReply;
struct redisconn;
struct user_query;

/* Longest name of a user or an account, without its NUL. */
#define USER_NAME_MAX 64

/* Most entries that a list of source addresses may have. */
#define USER_IPS_MAX 65536

#define USER_RATES_MAX 8

enum user_mode {
	MODE_DEFAULT,
	MODE_ALL,
	MODE_ANY
};

enum user_status {
	STATUS_ALLOWED,
	STATUS_BLOCKED,
	STATUS_SANDBOXED
};

struct user_rate {
	int64_t n;	/* messages */
	int64_t period; /* seconds */
};

/* A user as Redis holds it, every member valid. */
struct user {
	char		 name[USER_NAME_MAX + 1];
	char		 password[CRYPT_OUTPUT_SIZE]; /* "": none */
	char		 account[USER_NAME_MAX + 1];  /* "": none */
	enum user_mode	 mode;
	enum user_status status;       /* the worse of user, account */
	bool		 pro;	       /* plan of the account */
	int64_t		 quota;	       /* 0: unlimited */
	int64_t		 quota_period; /* seconds */
	struct user_rate rates[USER_RATES_MAX];
	size_t		 nrates;
	struct netaddr	 ip_auth;    /* len 0: none */
	bool		 any_source; /* there is no list */
	struct netset	 sources;
	/* Of the domains asked about, bit by bit in their order: */
	uint32_t assigned;   /* to the user */
	uint32_t in_account; /* the account's */
};

enum user_found {
	USER_OK,
	USER_NONE,	 /* no such user */
	USER_BAD,	 /* the record cannot be understood: logged */
	USER_UNAVAILABLE /* Redis cannot be asked */
};

/* The user is there for USER_OK alone, and only during the call. */
typedef void (*user_cb)(void *, enum user_found, const struct user *);

/*
 * Folds a name to lower case, as the keys in Redis have it.  False when it is
 * no name: [a-z0-9][a-z0-9._+-]{0,63}.
 */
bool user_fold_name(const char *, char[USER_NAME_MAX + 1]);

/* What may be left out of the answer to a question about a user. */
#define USER_NO_SOURCES 0x01 /* any_source is true */

/*
 * Asks Redis for the user of a folded name, and which of the domains (NULL:
 * none asked about) are assigned to the user or the account's.  One round
 * trip, and a second for the account where the user has one, however many
 * domains there are.  Calls back exactly once, from the event loop.  Returns
 * NULL, with no callback to come, when Redis cannot be asked.
 */
struct user_query *
user_ask(struct redisconn *, const struct conf *, const char *name,
    unsigned int flags, const struct domains *, user_cb, void *);

/*
 * The same for the user whom an address authenticates: the one that
 * ip:{ADDR} names and whose ip_auth is the address.  One round trip more.
 */
struct user_query *user_ask_address(struct redisconn *, const struct conf *,
    const struct netaddr *, const struct domains *, user_cb, void *);

/* Makes the callback not come, and frees the query. */
void user_cancel(struct user_query *);

/* Whether the user may log in and send: not blocked. */
bool user_active(const struct user *);

/* Whether the user's list of sources, if any, holds the address. */
bool user_allows_source(const struct user *, const struct netaddr *);

/*
 * Reads the replies to the two commands that fetch a user: HMGET of the
 * fields in user_fields, and the list of sources.  NULL and a whole user, or
 * what is wrong.  On USER_NONE's condition, no field at all, exists is false.
 * The caller clears the user with user_clear() in each case.
 */
const char *user_parse(struct user *, bool *exists,
    const struct redisReply *fields, const struct redisReply *sources);

/* The same for the reply to HMGET of the account's plan and status. */
const char *user_parse_account(struct user *, const struct redisReply *);

/* Frees what the user holds and zeroes it. */
void user_clear(struct user *);

#endif /* USER_H */
