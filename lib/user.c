/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <ctype.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf.h"
#include "domain.h"
#include "log.h"
#include "period.h"
#include "redisconn.h"
#include "user.h"

#define KEY_MAX 256
#define FIELD_MAX 1024
#define QUOTA_MAX 1000000000000LL

#define LOG_PAUSE 60 /* seconds between words about one record */
#define LOG_RECENT 64

enum field {
	F_PASSWORD,
	F_ACCOUNT,
	F_MODE,
	F_STATUS,
	F_QUOTA,
	F_QUOTA_PERIOD,
	F_RATE,
	F_IP_AUTH,
	F_CREATED,
	NFIELDS
};

static const char *const field_names[NFIELDS] = { "password", "account", "mode",
	"status", "quota", "quota_period", "rate", "ip_auth", "created" };

/* A query goes through these in turn, each a round trip. */
enum step {
	ASK_ADDRESS,
	ASK_USER,
	ASK_ACCOUNT
};

struct user_query {
	struct redisconn  *rc;
	const struct conf *conf;
	user_cb		   cb;
	void		  *arg;
	enum step	   step;
	struct netaddr	   address; /* len 0: asked by name */
	unsigned int	   flags;
	struct domains	  *domains; /* NULL: none asked about */
	struct redisreq	  *fields_req;
	struct redisreq	  *sources_req;
	struct redisreq	  *domains_req;
	const char	  *bad; /* first thing wrong */
	bool		   unavailable;
	bool		   exists;
	struct user	   user;
};

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

bool
user_active(const struct user *user)
{
	return (user->status != STATUS_BLOCKED);
}

bool
user_allows_source(const struct user *user, const struct netaddr *na)
{
	return (user->any_source || netset_match(&user->sources, na));
}

void
user_clear(struct user *user)
{
	netset_clear(&user->sources);
	memset(user, 0, sizeof(*user));
}

/* A string of a reply: "" when absent, NULL when it is no text. */
static const char *
text_of(const redisReply *reply, size_t max)
{
	if (reply == NULL || reply->type == REDIS_REPLY_NIL)
		return ("");
	if (reply->type != REDIS_REPLY_STRING || reply->len > max ||
	    strlen(reply->str) != reply->len)
		return (NULL);
	return (reply->str);
}

/* crypt(5): printable ASCII without these. */
static bool
in_hash(char c)
{
	switch (c) {
	case ':':
	case ';':
	case '*':
	case '!':
	case '\\':
		return (false);
	default:
		return (c > ' ' && c <= '~');
	}
}

static bool
set_password(struct user *user, const char *text)
{
	size_t i, len = strlen(text);

	if (len >= sizeof(user->password))
		return (false);
	/* The ways of passwd(5) to lock a password. */
	if (text[0] == '!' || text[0] == '*')
		return (true);
	for (i = 0; i < len; i++)
		if (!in_hash(text[i]))
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

/* Reads a number up to a character that may follow; -1 when it is none. */
static int64_t
parse_number(const char *text, const char **end)
{
	int64_t n = 0;

	if (*text < '0' || *text > '9')
		return (-1);
	for (; *text >= '0' && *text <= '9'; text++) {
		n = n * 10 + (*text - '0');
		if (n > QUOTA_MAX)
			return (-1);
	}
	*end = text;
	return (n);
}

static bool
set_quota(struct user *user, const char *text)
{
	const char *end = text;

	if (text[0] == '\0')
		return (true);
	user->quota = parse_number(text, &end);
	return (user->quota != -1 && *end == '\0');
}

/* "100/1h 1000/1d" */
static bool
set_rates(struct user *user, const char *text)
{
	char		  copy[FIELD_MAX + 1], *rest = copy, *word;
	const char	 *end;
	struct user_rate *rate;

	strlcpy(copy, text, sizeof(copy));
	while ((word = strsep(&rest, " ")) != NULL) {
		if (word[0] == '\0')
			continue;
		if (user->nrates == USER_RATES_MAX)
			return (false);
		rate = &user->rates[user->nrates++];
		rate->n = parse_number(word, &end);
		if (rate->n <= 0 || *end != '/' ||
		    !period_parse(end + 1, &rate->period))
			return (false);
	}
	return (true);
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
		return (set_quota(user, text));
	case F_QUOTA_PERIOD:
		return (text[0] == '\0' ||
		    period_parse(text, &user->quota_period));
	case F_RATE:
		return (set_rates(user, text));
	case F_IP_AUTH:
		return (text[0] == '\0' || netaddr_parse(text, &user->ip_auth));
	default:
		return (true);
	}
}

static const char *
parse_fields(struct user *user, bool *exists, const redisReply *reply)
{
	const char *text;
	size_t	    i;

	*exists = false;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != NFIELDS)
		return ("not a hash");
	for (i = 0; i < NFIELDS; i++) {
		if ((text = text_of(reply->element[i], FIELD_MAX)) == NULL ||
		    !set_field(user, (enum field)i, text))
			return (field_names[i]);
		if (reply->element[i]->type != REDIS_REPLY_NIL)
			*exists = true;
	}
	return (NULL);
}

/*
 * A list of which some entries parse is those entries; one of which none does
 * allows nothing.
 */
static const char *
parse_sources(struct user *user, const redisReply *reply)
{
	const char    *text;
	struct netaddr na;
	size_t	       i;

	if (reply->type != REDIS_REPLY_ARRAY)
		return ("ips: not a set");
	if (reply->elements > USER_IPS_MAX)
		return ("ips: too many entries");
	user->any_source = reply->elements == 0;
	for (i = 0; i < reply->elements; i++) {
		text = text_of(reply->element[i], FIELD_MAX);
		if (text == NULL || !netaddr_parse_range(text, &na))
			continue;
		if (!netset_add(&user->sources, &na))
			return ("ips: out of memory");
	}
	netset_seal(&user->sources);
	return (NULL);
}

const char *
user_parse(struct user *user, bool *exists, const redisReply *fields,
    const redisReply *sources)
{
	const char *bad;

	if ((bad = parse_fields(user, exists, fields)) != NULL)
		return (bad);
	return (parse_sources(user, sources));
}

const char *
user_parse_account(struct user *user, const redisReply *reply)
{
	const char	*plan, *text;
	enum user_status status;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
		return ("account: not a hash");
	plan = text_of(reply->element[0], FIELD_MAX);
	text = text_of(reply->element[1], FIELD_MAX);
	if (plan == NULL || text == NULL || !parse_status(text, &status))
		return ("account: plan or status");
	user->pro = strcmp(plan, "pro") == 0;
	if (status == STATUS_BLOCKED || user->status == STATUS_ALLOWED)
		user->status = status;
	return (NULL);
}

/* Whether this record has not been spoken of just now. */
static bool
worth_logging(const char *key)
{
	static struct {
		uint32_t hash;
		time_t	 when;
	} recent[LOG_RECENT];
	struct timespec now;
	uint32_t	hash = 2166136261U;
	size_t		i;

	for (i = 0; key[i] != '\0'; i++)
		hash = (hash ^ (unsigned char)key[i]) * 16777619U;
	clock_gettime(CLOCK_MONOTONIC, &now);
	i = hash % LOG_RECENT;
	if (recent[i].hash == hash && recent[i].when != 0 &&
	    now.tv_sec - recent[i].when < LOG_PAUSE)
		return (false);
	recent[i].hash = hash;
	recent[i].when = now.tv_sec;
	return (true);
}

static void
free_query(struct user_query *q)
{
	if (q->fields_req != NULL)
		redisconn_cancel(q->fields_req);
	if (q->sources_req != NULL)
		redisconn_cancel(q->sources_req);
	if (q->domains_req != NULL)
		redisconn_cancel(q->domains_req);
	free(q->domains);
	netset_clear(&q->user.sources);
	freezero(q, sizeof(*q));
}

void
user_cancel(struct user_query *q)
{
	free_query(q);
}

static void
finish(struct user_query *q, enum user_found found)
{
	const char *what = q->user.name;
	char	    addr[NETADDR_TEXT];

	if (found == USER_BAD) {
		if (q->step == ASK_ADDRESS)
			what = netaddr_text(&q->address, addr);
		if (worth_logging(what))
			log_warnx("%s%s:{%s}: bad record: %s", q->conf->prefix,
			    q->step == ASK_ADDRESS ? "ip" : "user", what,
			    q->bad);
	}
	q->cb(q->arg, found, found == USER_OK ? &q->user : NULL);
	free_query(q);
}

/*
 * A value of the wrong type is the record's fault, every other error is
 * Redis's: it is loading, has no master, or does not let us.
 */
static bool
usable(struct user_query *q, const redisReply *reply)
{
	if (reply == NULL) {
		q->unavailable = true;
		return (false);
	}
	if (reply->type != REDIS_REPLY_ERROR)
		return (true);
	if (strncmp(reply->str, "WRONGTYPE", 9) == 0) {
		q->bad = "wrong type";
		return (false);
	}
	log_once("redis: %.200s", reply->str);
	q->unavailable = true;
	return (false);
}

static void
finish_user(struct user_query *q)
{
	if (q->unavailable)
		finish(q, USER_UNAVAILABLE);
	else if (q->bad != NULL)
		finish(q, USER_BAD);
	else if (!q->exists)
		finish(q, USER_NONE);
	else if (q->address.len != 0 &&
	    !netaddr_equal(&q->address, &q->user.ip_auth))
		finish(q, USER_NONE);
	else
		finish(q, USER_OK);
}

static struct redisreq *
send_command(struct user_query *q, redisconn_cb cb, int argc, const char **argv)
{
	return (redisconn_send(q->rc, cb, q, argc, argv, NULL));
}

/* The bits of the domains that a set holds, from the reply to SMISMEMBER. */
static void
take_domains(struct user_query *q, const redisReply *reply, uint32_t *bits)
{
	size_t i;

	if (!usable(q, reply))
		return;
	if (reply->type != REDIS_REPLY_ARRAY ||
	    reply->elements != q->domains->n) {
		q->bad = "domains: not a set";
		return;
	}
	for (i = 0; i < reply->elements; i++)
		if (reply->element[i]->type == REDIS_REPLY_INTEGER &&
		    reply->element[i]->integer == 1)
			*bits |= 1U << i;
}

static bool
ask_domains(struct user_query *q, const char *kind, const char *name,
    redisconn_cb cb)
{
	char	    key[KEY_MAX];
	const char *argv[DOMAINS_MAX + 2] = { "SMISMEMBER", key };
	size_t	    i;

	snprintf(key, sizeof(key), "%s%s:{%s}:domains", q->conf->prefix, kind,
	    name);
	for (i = 0; i < q->domains->n; i++)
		argv[i + 2] = q->domains->name[i];
	q->domains_req = send_command(q, cb, (int)i + 2, argv);
	return (q->domains_req != NULL);
}

/* Whether the replies to all commands of a step are here. */
static bool
step_done(const struct user_query *q)
{
	return (q->fields_req == NULL && q->sources_req == NULL &&
	    q->domains_req == NULL);
}

static void
on_account(void *arg, const redisReply *reply)
{
	struct user_query *q = arg;
	const char	  *bad;

	q->fields_req = NULL;
	if (usable(q, reply) &&
	    (bad = user_parse_account(&q->user, reply)) != NULL)
		q->bad = bad;
	if (step_done(q))
		finish_user(q);
}

static void
on_account_domains(void *arg, const redisReply *reply)
{
	struct user_query *q = arg;

	q->domains_req = NULL;
	take_domains(q, reply, &q->user.in_account);
	if (step_done(q))
		finish_user(q);
}

static bool
ask_account(struct user_query *q)
{
	char	    key[KEY_MAX];
	const char *argv[4] = { "HMGET", key, "plan", "status" };

	q->step = ASK_ACCOUNT;
	snprintf(key, sizeof(key), "%saccount:{%s}", q->conf->prefix,
	    q->user.account);
	q->fields_req = send_command(q, on_account, 4, argv);
	if (q->fields_req == NULL)
		return (false);
	return (q->domains == NULL ||
	    ask_domains(q, "account", q->user.account, on_account_domains));
}

static void
user_step_done(struct user_query *q)
{
	if (q->bad != NULL || q->unavailable || !q->exists ||
	    q->user.account[0] == '\0')
		finish_user(q);
	else if (!ask_account(q))
		finish(q, USER_UNAVAILABLE);
}

static void
on_fields(void *arg, const redisReply *reply)
{
	struct user_query *q = arg;
	const char	  *bad;

	q->fields_req = NULL;
	if (usable(q, reply) &&
	    (bad = parse_fields(&q->user, &q->exists, reply)) != NULL)
		q->bad = bad;
	if (step_done(q))
		user_step_done(q);
}

static void
on_sources(void *arg, const redisReply *reply)
{
	struct user_query *q = arg;
	const char	  *bad;

	q->sources_req = NULL;
	if (usable(q, reply) && (bad = parse_sources(&q->user, reply)) != NULL)
		q->bad = bad;
	if (step_done(q))
		user_step_done(q);
}

static void
on_domains(void *arg, const redisReply *reply)
{
	struct user_query *q = arg;

	q->domains_req = NULL;
	take_domains(q, reply, &q->user.assigned);
	if (step_done(q))
		user_step_done(q);
}

/*
 * SRANDMEMBER gives the whole set, as SMEMBERS does, but no more of it than
 * we are ready to take.
 */
static bool
ask_user(struct user_query *q)
{
	char	    key[KEY_MAX], ips[KEY_MAX], max[16];
	const char *hmget[NFIELDS + 2] = { "HMGET", key };
	const char *members[3] = { "SRANDMEMBER", ips, max };

	q->step = ASK_USER;
	memcpy(hmget + 2, field_names, sizeof(field_names));
	snprintf(key, sizeof(key), "%suser:{%s}", q->conf->prefix,
	    q->user.name);
	snprintf(ips, sizeof(ips), "%suser:{%s}:ips", q->conf->prefix,
	    q->user.name);
	snprintf(max, sizeof(max), "%d", USER_IPS_MAX + 1);
	q->fields_req = send_command(q, on_fields, NFIELDS + 2, hmget);
	if (q->fields_req == NULL)
		return (false);
	q->user.any_source = true;
	if (!(q->flags & USER_NO_SOURCES)) {
		q->sources_req = send_command(q, on_sources, 3, members);
		if (q->sources_req == NULL)
			return (false);
	}
	return (q->domains == NULL ||
	    ask_domains(q, "user", q->user.name, on_domains));
}

static void
on_address(void *arg, const redisReply *reply)
{
	struct user_query *q = arg;
	const char	  *name;

	q->fields_req = NULL;
	if (!usable(q, reply)) {
		finish_user(q);
		return;
	}
	name = text_of(reply, FIELD_MAX);
	if (name == NULL ||
	    (name[0] != '\0' && !user_fold_name(name, q->user.name))) {
		q->bad = "not the name of a user";
		finish(q, USER_BAD);
	} else if (name[0] == '\0')
		finish(q, USER_NONE);
	else if (!ask_user(q))
		finish(q, USER_UNAVAILABLE);
}

static struct user_query *
new_query(struct redisconn *rc, const struct conf *conf,
    const struct domains *domains, user_cb cb, void *arg)
{
	struct user_query *q;

	if ((q = calloc(1, sizeof(*q))) == NULL)
		return (NULL);
	if (domains != NULL && domains->n > 0) {
		if ((q->domains = malloc(sizeof(*domains))) == NULL) {
			free(q);
			return (NULL);
		}
		*q->domains = *domains;
	}
	q->rc = rc;
	q->conf = conf;
	q->cb = cb;
	q->arg = arg;
	q->user.quota_period = conf->quota_period;
	return (q);
}

struct user_query *
user_ask(struct redisconn *rc, const struct conf *conf, const char *name,
    unsigned int flags, const struct domains *domains, user_cb cb, void *arg)
{
	struct user_query *q = new_query(rc, conf, domains, cb, arg);

	if (q == NULL)
		return (NULL);
	q->flags = flags;
	strlcpy(q->user.name, name, sizeof(q->user.name));
	if (ask_user(q))
		return (q);
	free_query(q);
	return (NULL);
}

struct user_query *
user_ask_address(struct redisconn *rc, const struct conf *conf,
    const struct netaddr *na, const struct domains *domains, user_cb cb,
    void *arg)
{
	struct user_query *q = new_query(rc, conf, domains, cb, arg);
	char		   key[KEY_MAX], addr[NETADDR_TEXT];
	const char	  *argv[2] = { "GET", key };

	if (q == NULL)
		return (NULL);
	q->address = *na;
	snprintf(key, sizeof(key), "%sip:{%s}", conf->prefix,
	    netaddr_text(na, addr));
	q->fields_req = send_command(q, on_address, 2, argv);
	if (q->fields_req != NULL)
		return (q);
	free_query(q);
	return (NULL);
}
