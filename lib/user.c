/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <hiredis/hiredis.h>
#include <string.h>

#include "count.h"
#include "domain.h"
#include "user.h"
#include "utc.h"

#define FIELD_MAX 1024 /* bytes of a value that is read */

enum field {
	F_PASSWORD,
	F_ACCOUNT,
	F_MODE,
	F_STATUS,
	F_QUOTA,
	F_RATE,
	F_IP_AUTH,
	F_CREATED,
	F_RESTRICTED,
	F_OVER,
	F_MAX_RECIPIENTS,
	F_MAX_SIZE,
	F_SENDER_QUOTA,
	F_SENDER_RATE,
	F_ALARMS,
	F_BLOCKED_UNTIL
};

const char *const user_fields[USER_FIELDS] = { "password", "account", "mode",
	"status", "quota", "rate", "ip_auth", "created", "restricted", "over",
	"max_recipients", "max_size", "sender_quota", "sender_rate", "alarms",
	"blocked_until" };

static const enum field whole[] = { F_PASSWORD, F_ACCOUNT, F_MODE, F_STATUS,
	F_QUOTA, F_RATE, F_IP_AUTH, F_CREATED, F_RESTRICTED, F_OVER,
	F_MAX_RECIPIENTS, F_MAX_SIZE, F_SENDER_QUOTA, F_SENDER_RATE, F_ALARMS,
	F_BLOCKED_UNTIL };
static const enum field login[] = { F_PASSWORD, F_ACCOUNT, F_STATUS, F_IP_AUTH,
	F_RESTRICTED, F_BLOCKED_UNTIL };
static const enum field brief[] = { F_PASSWORD, F_ACCOUNT, F_STATUS };

static const struct {
	const enum field *fields;
	size_t		  n;
} scopes[] = { [USER_WHOLE] = { whole, sizeof(whole) / sizeof(whole[0]) },
	[USER_LOGIN] = { login, sizeof(login) / sizeof(login[0]) },
	[USER_BRIEF] = { brief, sizeof(brief) / sizeof(brief[0]) } };

static const char *const account_fields[USER_ACCOUNT_FIELDS] = { "alarms",
	"plan", "status", "user_prefix", "over", "max_recipients", "max_size",
	"quota", "quota_period", "rate" };

/* Those of USER_BRIEF, which stand together. */
#define ACCOUNT_BRIEF 1
#define ACCOUNT_BRIEF_FIELDS 3

bool
user_fold_name(const char *in, char out[USER_NAME_MAX + 1])
{
	size_t i;
	char   c;

	for (i = 0; in[i] != '\0'; i++) {
		if (i == USER_NAME_MAX)
			return (false);
		c = domain_lower(in[i]);
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			(i > 0 &&
			    (c == '.' || c == '_' || c == '+' || c == '-'))))
			return (false);
		out[i] = c;
	}
	out[i] = '\0';
	return (i > 0);
}

size_t
user_scope_fields(enum user_scope scope, const char *names[USER_FIELDS])
{
	size_t i;

	for (i = 0; i < scopes[scope].n; i++)
		names[i] = user_fields[scopes[scope].fields[i]];
	return (i);
}

const char *const *
user_account_fields(enum user_scope scope, size_t *n)
{
	if (scope == USER_BRIEF) {
		*n = ACCOUNT_BRIEF_FIELDS;
		return (account_fields + ACCOUNT_BRIEF);
	}
	*n = USER_ACCOUNT_FIELDS;
	return (account_fields);
}

bool
user_active(const struct user *user)
{
	return (user->status != STATUS_BLOCKED);
}

bool
user_can_log_in(const struct user *user)
{
	return (user_active(user) && user->password[0] != '\0');
}

bool
user_source_allowed(const struct user *user)
{
	return (user->source == SOURCE_LISTED ||
	    (user->source == SOURCE_ANY && !user->restricted));
}

bool
user_list_missing(const struct user *user)
{
	return (user->source == SOURCE_ANY && user->restricted);
}

const char *
user_limited_account(const struct user *user)
{
	return (user->account_limited ? user->account : "");
}

bool
user_any_domain(const struct user *user)
{
	return (user->mode == MODE_ANY && user->pro);
}

static bool
fits_prefix(const struct user *user, const struct account *account)
{
	return (strncmp(user->name, account->prefix, strlen(account->prefix)) ==
	    0);
}

void
user_take_account(struct user *user, const struct account *account)
{
	if (!fits_prefix(user, account)) {
		user->status = STATUS_BLOCKED;
		return;
	}
	if (account->status == STATUS_BLOCKED || user->status == STATUS_ALLOWED)
		user->status = account->status;
	user->no_account = account->missing;
	user->pro = account->pro;
	user->in_account = account->domains;
	user->account_suppresses = account->suppresses;
	user->account_limited = account->limited;
	user->account_over = account->bounds.over;
	bounds_take(&user->bounds, &account->bounds);
	alarm_take(&user->alarms, &account->alarms);
}

void
user_clear(struct user *user)
{
	explicit_bzero(user, sizeof(*user));
}

/* A string of a reply: "" when absent, NULL when it is no text. */
static const char *
field_text(const redisReply *reply)
{
	if (reply->type == REDIS_REPLY_NIL)
		return ("");
	if (reply->type != REDIS_REPLY_STRING || reply->len > FIELD_MAX ||
	    strlen(reply->str) != reply->len)
		return (NULL);
	return (reply->str);
}

/* crypt(5): printable ASCII without some of it. */
static bool
is_hash(const char *text)
{
	const char *p;

	for (p = text; *p > ' ' && *p <= '~'; p++)
		continue;
	return (*p == '\0' && strpbrk(text, ":;*!\\") == NULL);
}

static bool
set_password(struct user *user, const char *text)
{
	size_t len = strlen(text);

	if (len >= sizeof(user->password))
		return (false);
	/* The ways of passwd(5) to lock a password. */
	if (text[0] == '!' || text[0] == '*')
		return (true);
	if (!is_hash(text))
		return (false);
	memcpy(user->password, text, len + 1);
	return (true);
}

static bool
set_mode(struct user *user, const char *text)
{
	if (text[0] == '\0' || strcmp(text, "default") == 0)
		user->mode = MODE_DEFAULT;
	else if (strcmp(text, "all") == 0)
		user->mode = MODE_ALL;
	else if (strcmp(text, "any") == 0)
		user->mode = MODE_ANY;
	else
		return (false);
	return (true);
}

static bool
parse_status(const char *text, enum user_status *status)
{
	if (text[0] == '\0' || strcmp(text, "allowed") == 0)
		*status = STATUS_ALLOWED;
	else if (strcmp(text, "blocked") == 0)
		*status = STATUS_BLOCKED;
	else if (strcmp(text, "sandboxed") == 0)
		*status = STATUS_SANDBOXED;
	else
		return (false);
	return (true);
}

static bool
set_restricted(struct user *user, const char *text)
{
	user->restricted = strcmp(text, "1") == 0;
	return (user->restricted || text[0] == '\0' || strcmp(text, "0") == 0);
}

static bool
set_over(struct bounds *bounds, const char *text)
{
	if (text[0] == '\0')
		bounds->over = OVER_UNSET;
	else if (strcmp(text, "defer") == 0)
		bounds->over = OVER_DEFER;
	else if (strcmp(text, "reject") == 0)
		bounds->over = OVER_REJECT;
	else if (strcmp(text, "sandbox") == 0)
		bounds->over = OVER_SANDBOX;
	else
		return (false);
	return (true);
}

/* A limit of 0 is none, also where an account or the configuration has one. */
static bool
set_limit(int64_t *limit, const char *text,
    bool (*parse)(const char *, int64_t *))
{
	*limit = LIMIT_UNSET;
	if (text[0] == '\0')
		return (true);
	if (!parse(text, limit))
		return (false);
	if (*limit == 0)
		*limit = LIMIT_NONE;
	return (true);
}

static bool
set_bound(struct bounds *bounds, enum field field, const char *text)
{
	switch (field) {
	case F_OVER:
		return (set_over(bounds, text));
	case F_MAX_RECIPIENTS:
		return (set_limit(&bounds->max_recipients, text, count_parse));
	default:
		return (set_limit(&bounds->max_size, text, size_parse));
	}
}

static bool
set_alarms(struct alarm_limits *alarms, const char *text)
{
	return (text[0] == '\0' || alarm_parse(text, alarms));
}

/*
 * The functions in Redis read the limits and judge them: here is told only
 * whether there is anything that they might find.
 */
static bool
says_something(const char *text, const char *nothing)
{
	return (text[strspn(text, nothing)] != '\0');
}

static bool
set_field(struct user *user, enum field field, const char *text)
{
	switch (field) {
	case F_PASSWORD:
		return (set_password(user, text));
	case F_ACCOUNT:
		return (text[0] == '\0' || user_fold_name(text, user->account));
	case F_MODE:
		return (set_mode(user, text));
	case F_STATUS:
		return (parse_status(text, &user->status));
	case F_QUOTA:
	case F_SENDER_QUOTA:
		user->limited |= says_something(text, "0");
		return (true);
	case F_RATE:
	case F_SENDER_RATE:
		user->limited |= says_something(text, " ");
		return (true);
	case F_IP_AUTH:
		return (text[0] == '\0' || netaddr_parse(text, &user->ip_auth));
	case F_RESTRICTED:
		return (set_restricted(user, text));
	case F_OVER:
	case F_MAX_RECIPIENTS:
	case F_MAX_SIZE:
		return (set_bound(&user->bounds, field, text));
	case F_ALARMS:
		return (set_alarms(&user->alarms, text));
	case F_CREATED:
	case F_BLOCKED_UNTIL:
		break;
	}
	return (true);
}

const char *
user_parse(struct user *user, bool *exists, const redisReply *reply,
    enum user_scope scope)
{
	const enum field *fields = scopes[scope].fields;
	const char	 *text;
	bool		  ended = false;
	size_t		  i;

	*exists = false;
	if (reply->type != REDIS_REPLY_ARRAY ||
	    reply->elements != scopes[scope].n)
		return ("not a hash");
	for (i = 0; i < reply->elements; i++) {
		if ((text = field_text(reply->element[i])) == NULL ||
		    !set_field(user, fields[i], text))
			return (user_fields[fields[i]]);
		if (fields[i] == F_BLOCKED_UNTIL)
			ended = utc_passed(text, time(NULL));
		if (reply->element[i]->type != REDIS_REPLY_NIL)
			*exists = true;
	}
	if (ended)
		user->status = STATUS_ALLOWED;
	return (NULL);
}

static bool
is_nothing(const redisReply *reply)
{
	size_t i;

	for (i = 0; i < reply->elements; i++)
		if (reply->element[i]->type != REDIS_REPLY_NIL)
			return (false);
	return (true);
}

/* The account's, from a field of it on. */
static const char *
parse_bounds(struct bounds *bounds, const redisReply *reply)
{
	static const enum field fields[] = { F_OVER, F_MAX_RECIPIENTS,
		F_MAX_SIZE };
	const size_t		n = sizeof(fields) / sizeof(fields[0]);
	const size_t		first = 4;
	const char	       *text;
	size_t			i;

	for (i = 0; i < n; i++) {
		text = field_text(reply->element[first + i]);
		if (text == NULL || !set_bound(bounds, fields[i], text))
			return (account_fields[first + i]);
	}
	return (NULL);
}

/* A quota of 0 is none; its period alone says nothing. */
static const char *
parse_account_limits(struct account *account, const redisReply *reply)
{
	static const char *const nothing[] = { "0", NULL, " " };
	const size_t		 first = 7;
	const char		*text;
	size_t			 i;

	for (i = 0; i < USER_ACCOUNT_FIELDS - first; i++) {
		if ((text = field_text(reply->element[first + i])) == NULL)
			return (account_fields[first + i]);
		if (nothing[i] != NULL)
			account->limited |= says_something(text, nothing[i]);
	}
	return (NULL);
}

/* plan, status, user_prefix */
static const char *
parse_account_brief(struct account *account, redisReply *const element[])
{
	const char *plan = field_text(element[0]);
	const char *text = field_text(element[1]);
	const char *prefix = field_text(element[2]);

	if (plan == NULL)
		return ("plan");
	if (text == NULL || !parse_status(text, &account->status))
		return ("status");
	if (prefix == NULL ||
	    strlcpy(account->prefix, prefix, sizeof(account->prefix)) >=
		sizeof(account->prefix))
		return ("user_prefix");
	account->pro = strcmp(plan, "pro") == 0;
	return (NULL);
}

/* All but that. */
static const char *
parse_account_rest(struct account *account, const redisReply *reply)
{
	const char *text = field_text(reply->element[0]), *bad;

	if (text == NULL || !set_alarms(&account->alarms, text))
		return ("alarms");
	if ((bad = parse_account_limits(account, reply)) != NULL)
		return (bad);
	return (parse_bounds(&account->bounds, reply));
}

const char *
account_parse(struct account *account, const redisReply *reply,
    enum user_scope scope)
{
	const size_t first = scope == USER_BRIEF ? 0 : ACCOUNT_BRIEF;
	const char  *bad = NULL;
	size_t	     n;

	(void)user_account_fields(scope, &n);
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != n)
		return ("not a hash");
	if (scope != USER_BRIEF)
		bad = parse_account_rest(account, reply);
	if (bad == NULL)
		bad = parse_account_brief(account, reply->element + first);
	if (bad != NULL)
		return (bad);
	account->missing = is_nothing(reply);
	if (account->missing)
		account->status = STATUS_BLOCKED;
	return (NULL);
}

const char *
user_parse_list(struct user *user, const redisReply *reply,
    const struct netaddr *source)
{
	const char    *text;
	struct netaddr range;
	size_t	       i;

	user->source = SOURCE_UNASKED;
	if (reply->type != REDIS_REPLY_ARRAY)
		return ("not a set");
	if (reply->elements > USER_SHORT_LIST)
		return (NULL);
	user->source = reply->elements == 0 ? SOURCE_ANY : SOURCE_UNLISTED;
	for (i = 0; i < reply->elements; i++) {
		text = field_text(reply->element[i]);
		if (text != NULL && netaddr_parse_range(text, &range) &&
		    netaddr_covers(&range, source)) {
			user->source = SOURCE_LISTED;
			break;
		}
	}
	return (NULL);
}
