/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "digest.h"
#include "functions.h"
#include "journal.h"
#include "key.h"
#include "log.h"
#include "quota.h"
#include "recent.h"
#include "servers.h"
#include "user.h"

#define NKEYS 4
#define RETRY 20000 /* microseconds */

struct quota_query {
	const struct quotas *quotas;
	quota_cb	     cb;
	void		    *arg;
	bool		     reserves; /* or only checks */
	bool		     sent;
	struct servers_req  *req;
	struct event	    *retry;
	char		     user[USER_NAME_MAX + 1];
	char		     id[QUOTA_ID];
	char		     units[24];
};

/* The keys of a call, in the order that the functions have them. */
struct keys {
	char text[NKEYS][KEY_TEXT];
	char period[24];
};

/* As users write periods, for the reply that names it. */
static void
format_period(int64_t seconds, char *buf, size_t size)
{
	if (seconds % 86400 == 0)
		snprintf(buf, size, "%" PRId64 "d", seconds / 86400);
	else if (seconds % 3600 == 0)
		snprintf(buf, size, "%" PRId64 "h", seconds / 3600);
	else
		snprintf(buf, size, "%" PRId64, seconds);
}

static void
make_keys(const struct conf *conf, const char *user, const char *id,
    struct keys *keys)
{
	const char *prefix = conf->prefix;

	key_user(keys->text[0], prefix, user, "");
	key_user(keys->text[1], prefix, user, "used:quota");
	key_user(keys->text[2], prefix, user, "used:rate");
	key_hold(keys->text[3], prefix, user, id);
	format_period(conf->quota_period, keys->period, sizeof(keys->period));
}

void
quota_id(char id[QUOTA_ID])
{
	uint64_t n;

	arc4random_buf(&n, sizeof(n));
	snprintf(id, QUOTA_ID, "%016" PRIx64, n);
}

static const char *
function_of(const struct quota_query *q)
{
	return (q->reserves ? "smtpusers_reserve" : "smtpusers_check");
}

static void
quota_free(struct quota_query *q)
{
	if (q->req != NULL)
		servers_cancel(q->req);
	event_free(q->retry);
	free(q);
}

static void
conclude_quota(struct quota_query *q, enum quota_result result,
    const char *reply)
{
	quota_cb cb = q->cb;
	void	*arg = q->arg;

	quota_free(q);
	cb(arg, result, reply);
}

static void
ask_later(struct quota_query *q)
{
	const struct timeval tv = { 0, RETRY };

	event_add(q->retry, &tv);
}

static bool
is_text(const redisReply *reply, size_t i)
{
	return (i < reply->elements &&
	    reply->element[i]->type == REDIS_REPLY_STRING &&
	    strlen(reply->element[i]->str) == reply->element[i]->len);
}

/* Once in a while: the same may be found with each message. */
static bool
worth_logging(const struct quota_query *q, const char *what)
{
	const char *const strings[] = { q->user, what };
	uint8_t		  digest[DIGEST_LEN];
	bool		  told;

	if (q->quotas->logged == NULL)
		return (true);
	digest_strings(digest, 2, strings);
	told = recent_has(q->quotas->logged, digest);
	if (!told)
		recent_add(q->quotas->logged, digest);
	return (!told);
}

static void
log_unreadable(const struct quota_query *q, const redisReply *reply)
{
	const char *key;

	if (!is_text(reply, 5) || reply->element[5]->str[0] == '\0')
		return;
	key = reply->element[5]->str;
	if (worth_logging(q, key))
		log_warnx("%.200s: cannot be read, so it counts as used up",
		    key);
}

/*
 * {"full", which, limit, period, seconds, key}.  What can never have room is
 * refused for good: the client would try for days.
 */
static void
conclude_full(struct quota_query *q, const redisReply *reply)
{
	const bool  recipients = q->quotas->conf->quota_unit == UNIT_RECIPIENT;
	const char *what = recipients ? "recipients" : "messages";
	const char *limit = reply->element[2]->str;
	const char *period = reply->element[3]->str;
	const char *seconds = reply->element[4]->str;
	char	    text[QUOTA_REPLY];

	if (seconds[0] == '\0')
		snprintf(text, sizeof(text),
		    "550 5.7.1 [QUOTA] %.20s %s per %.20s allowed, this "
		    "message has more",
		    limit, what, period);
	else
		snprintf(text, sizeof(text),
		    "451 4.7.1 [QUOTA] %.20s %s per %.20s used, try again in "
		    "%.20s s",
		    limit, what, period, seconds);
	conclude_quota(q, QUOTA_FULL, text);
}

static void
conclude_array(struct quota_query *q, const redisReply *reply)
{
	const char *word = reply->element[0]->str;

	if (strcmp(word, "ok") == 0)
		conclude_quota(q, QUOTA_OK, NULL);
	else if (strcmp(word, "full") == 0 && is_text(reply, 2) &&
	    is_text(reply, 3) && is_text(reply, 4)) {
		log_unreadable(q, reply);
		conclude_full(q, reply);
	} else {
		if (is_text(reply, 1))
			word = reply->element[1]->str;
		if (worth_logging(q, word))
			log_warnx("%suser:{%s}: bad record: %.40s",
			    q->quotas->conf->prefix, q->user, word);
		conclude_quota(q, QUOTA_BAD, NULL);
	}
}

static bool
was_lost(const struct quota_query *q, const redisReply *reply)
{
	char key[KEY_TEXT];

	key_user(key, q->quotas->conf->prefix, q->user, "");
	functions_see(q->quotas->functions, key, reply);
	return (functions_lost(q->quotas->functions, key, reply));
}

static void
on_quota_reply(void *arg, const redisReply *reply)
{
	struct quota_query *q = arg;

	q->req = NULL;
	if (reply == NULL || was_lost(q, reply)) {
		ask_later(q);
		return;
	}
	if (reply->type == REDIS_REPLY_ARRAY && is_text(reply, 0)) {
		conclude_array(q, reply);
		return;
	}
	/* An attempt whose reply was lost may have been charged. */
	if (q->reserves)
		quota_refund(q->quotas, q->user, q->id);
	conclude_quota(q, QUOTA_BAD, NULL);
}

static void
ask_quota(struct quota_query *q)
{
	struct keys keys;
	const char *argv[NKEYS + 2] = { keys.text[0], keys.text[1],
		keys.text[2], keys.text[3], keys.period, q->units };

	make_keys(q->quotas->conf, q->user, q->id, &keys);
	q->req = (q->reserves ? functions_commit
			      : functions_call)(q->quotas->functions,
	    on_quota_reply, q, function_of(q), NKEYS, NKEYS + 2, argv);
	if (q->req == NULL)
		ask_later(q);
	else
		q->sent = true;
}

static void
on_quota_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	ask_quota(arg);
}

static struct quota_query *
quota_ask(const struct quotas *quotas, bool reserves, const char *user,
    const char *id, size_t units, quota_cb cb, void *arg)
{
	struct quota_query *q;

	if ((q = calloc(1, sizeof(*q))) == NULL)
		return (NULL);
	if ((q->retry = evtimer_new(quotas->base, on_quota_retry, q)) == NULL) {
		free(q);
		return (NULL);
	}
	q->quotas = quotas;
	q->reserves = reserves;
	q->cb = cb;
	q->arg = arg;
	strlcpy(q->user, user, sizeof(q->user));
	strlcpy(q->id, id, sizeof(q->id));
	snprintf(q->units, sizeof(q->units), "%zu", units);
	ask_quota(q);
	return (q);
}

struct quota_query *
quota_check(const struct quotas *quotas, const char *user, size_t units,
    quota_cb cb, void *arg)
{
	return (quota_ask(quotas, false, user, "none", units, cb, arg));
}

struct quota_query *
quota_reserve(const struct quotas *quotas, const char *user, const char *id,
    size_t units, quota_cb cb, void *arg)
{
	return (quota_ask(quotas, true, user, id, units, cb, arg));
}

void
quota_cancel(struct quota_query *q)
{
	if (q->sent && q->reserves)
		quota_refund(q->quotas, q->user, q->id);
	quota_free(q);
}

static void
write_call(const struct quotas *quotas, const char *function, const char *user,
    const char *id)
{
	struct keys    keys;
	const char    *argv[NKEYS + 1] = { keys.text[0], keys.text[1],
		   keys.text[2], keys.text[3], keys.period };
	const char    *out[FUNCTIONS_ARGS];
	struct command command = { 0, FUNCTIONS_KEY, out };

	make_keys(quotas->conf, user, id, &keys);
	command.argc = functions_command(function, NKEYS, NKEYS + 1, argv, out);
	journal_write(quotas->journal, JOURNAL_CHARGES, user, 1, &command);
}

void
quota_keep(const struct quotas *quotas, const char *user, const char *id)
{
	write_call(quotas, "smtpusers_keep", user, id);
}

void
quota_refund(const struct quotas *quotas, const char *user, const char *id)
{
	write_call(quotas, "smtpusers_refund", user, id);
}
