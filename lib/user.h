/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef USER_H
#define USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alarm.h"
#include "bounds.h"
#include "netaddr.h"
#include "passwd.h"

struct redisReply;

/* Longest name of a user or an account, without its NUL. */
#define USER_NAME_MAX 64

/*
 * Lists of up to this many sources are read whole, so that people may write
 * entries in any form.  Entries of a longer list must be canonical
 * (netaddr_text()), since each prefix that covers an address is looked up in
 * it.
 */
#define USER_SHORT_LIST 64

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

/* What the user's list of sources says about a source. */
enum user_source {
	SOURCE_UNASKED,
	SOURCE_ANY, /* the list is empty */
	SOURCE_LISTED,
	SOURCE_UNLISTED
};

/* A user as Redis holds it, every member valid. */
struct user {
	char		    name[USER_NAME_MAX + 1];
	char		    password[PASSWD_HASH];	/* "": none */
	char		    account[USER_NAME_MAX + 1]; /* "": none */
	enum user_mode	    mode;
	enum user_status    status;	/* the stricter of user, account */
	bool		    no_account; /* the named account is missing */
	bool		    pro;	/* plan of the account */
	bool		    limited; /* a quota or rate is to be asked about */
	bool		    account_limited; /* one of the account's */
	enum over	    account_over;    /* for mail beyond it */
	struct bounds	    bounds;	/* the user's, else the account's */
	struct alarm_limits alarms;	/* the user's, else the account's */
	struct netaddr	    ip_auth;	/* len 0: none */
	bool		    restricted; /* an empty list allows no source */
	enum user_source    source;
	bool		    addresses;	/* assigned in the domain asked about */
	bool		    suppresses; /* has recipients that get no mail */
	bool		    account_suppresses; /* so does the account */
	/* Of the domains asked about, bit by bit in their order: */
	uint32_t assigned;   /* to the user */
	uint32_t in_account; /* the account's */
};

/* An account as Redis holds it, every member valid. */
struct account {
	enum user_status    status;  /* blocked where it is missing */
	bool		    missing; /* there is no such record */
	bool		    pro;     /* its plan */
	bool		    limited; /* by a quota or rate of its own */
	char		    prefix[USER_NAME_MAX + 1]; /* of its users */
	struct bounds	    bounds;
	struct alarm_limits alarms;
	bool		    suppresses; /* has recipients that get no mail */
	uint32_t	    domains;	/* of those asked about, bit by bit */
};

/* The fields of a record that are read. */
#define USER_FIELDS 16
extern const char *const user_fields[USER_FIELDS];

/* How many of them a question needs. */
enum user_scope {
	USER_WHOLE,
	USER_LOGIN, /* who may log in, from where */
	USER_BRIEF  /* who may log in; USER_LOGIN tells of who may not */
};

/* The fields of an account, of which a scope has fewer. */
#define USER_ACCOUNT_FIELDS 10

/*
 * Folds a name to lower case, as the keys in Redis have it.  False when it is
 * no name: [a-z0-9][a-z0-9._+-]{0,63}.
 */
bool user_fold_name(const char *, char[USER_NAME_MAX + 1]);

/* Writes the names of the fields in a scope, and returns how many these are. */
size_t user_scope_fields(enum user_scope, const char *[USER_FIELDS]);

/* The same of an account; the names stay. */
const char *const *user_account_fields(enum user_scope, size_t *);

/* Whether the user may log in and send: not blocked. */
bool user_active(const struct user *);

/* Whether the user may, and has a password to do it by. */
bool user_can_log_in(const struct user *);

/* Whether the user may send from the source that was asked about. */
bool user_source_allowed(const struct user *);

/* Whether the user may not because a restricted user's list is empty. */
bool user_list_missing(const struct user *);

/* The user's account if it has limits of its own, else "". */
const char *user_limited_account(const struct user *);

/* Whether the user may send as any domain with SPF. */
bool user_any_domain(const struct user *);

/*
 * Adds what the user's account says.  The stricter of both statuses applies; a
 * user whose name does not fit the account's user_prefix is blocked.
 */
void user_take_account(struct user *, const struct account *);

/*
 * Each of these reads a reply of Redis and returns NULL, or what is wrong with
 * it: then what was read is of no use.
 */

/*
 * HMGET of user_scope_fields().  exists is false if no field exists: there is
 * no such user.  A status that has ended by now becomes allowed; an end that
 * cannot be read never comes.
 */
const char *user_parse(struct user *, bool *exists, const struct redisReply *,
    enum user_scope);

/*
 * HMGET of user_account_fields().  If no field exists, the account is missing
 * and counts as blocked, since Redis may have lost the key that blocked it; with
 * USER_BRIEF it may still have other fields.
 */
const char *
account_parse(struct account *, const struct redisReply *, enum user_scope);

/*
 * SRANDMEMBER of at most USER_SHORT_LIST + 1 entries, compared with one source.
 * SOURCE_UNASKED if the list is longer than that.  Invalid entries are ignored;
 * if all are invalid, the source is unlisted.
 */
const char *user_parse_list(struct user *, const struct redisReply *,
    const struct netaddr *source);

/* Wipes it, since it holds the password's hash; does not free it. */
void user_clear(struct user *);

#endif /* USER_H */
