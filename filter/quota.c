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
#include "filter.h"
#include "functions.h"
#include "journal.h"
#include "log.h"
#include "quota.h"
#include "user.h"

#define KEY_MAX 256
#define NKEYS 4
#define RETRY 20000 /* microseconds */

struct quota_query {
	struct filter	*filter;
	const char	*function; /* "check" or "reserve" */
	quota_cb	 cb;
	void		*arg;
	struct redisreq *req;
	struct event	*retry;
	bool		 sent;
	char		 user[USER_NAME_MAX + 1];
	char		 id[QUOTA_ID];
	char		 units[24];
};

/* The keys of a call, in the order that the functions have them. */
struct keys {
	char text[NKEYS][KEY_MAX];
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
make_keys(const struct filter *f, const char *user, const char *id,
    struct keys *keys)
{
	const char *prefix = f->conf->prefix;

	snprintf(keys->text[0], KEY_MAX, "%suser:{%s}", prefix, user);
	snprintf(keys->text[1], KEY_MAX, "%suser:{%s}:used:quota", prefix,
	    user);
	snprintf(keys->text[2], KEY_MAX, "%suser:{%s}:used:rate", prefix, user);
	snprintf(keys->text[3], KEY_MAX, "%suser:{%s}:used:hold:%s", prefix,
	    user, id);
	format_period(f->conf->quota_period, keys->period,
	    sizeof(keys->period));
}

int
quota_limited(const struct user *user)
{
	return (user->quota > 0 || user->nrates > 0);
}

void
quota_id(char id[QUOTA_ID])
{
	uint64_t n;

	arc4random_buf(&n, sizeof(n));
	snprintf(id, QUOTA_ID, "%016" PRIx64, n);
}

static void
free_query(struct quota_query *q)
{
	if (q->req != NULL)
		redisconn_cancel(q->req);
	event_free(q->retry);
	free(q);
}

static void
finish(struct quota_query *q, enum quota_result result, const char *reply)
{
	quota_cb cb = q->cb;
	void	*arg = q->arg;

	free_query(q);
	cb(arg, result, reply);
}

static void
try_later(struct quota_query *q)
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

/*
 * {"full", which, limit, period, seconds}.  What can never have room is refused
 * for good: the client would try for days.
 */
static void
finish_full(struct quota_query *q, const redisReply *reply)
{
	const bool  recipients = q->filter->conf->quota_unit == UNIT_RECIPIENT;
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
	finish(q, QUOTA_FULL, text);
}

static void
finish_array(struct quota_query *q, const redisReply *reply)
{
	const char *word = reply->element[0]->str;

	if (strcmp(word, "ok") == 0)
		finish(q, QUOTA_OK, NULL);
	else if (strcmp(word, "full") == 0 && is_text(reply, 2) &&
	    is_text(reply, 3) && is_text(reply, 4))
		finish_full(q, reply);
	else {
		log_warnx("%suser:{%s}: bad record: %.40s",
		    q->filter->conf->prefix, q->user,
		    is_text(reply, 1) ? reply->element[1]->str : word);
		finish(q, QUOTA_BAD, NULL);
	}
}

static void
on_reply(void *arg, const redisReply *reply)
{
	struct quota_query *q = arg;

	q->req = NULL;
	if (reply == NULL || functions_lost(q->filter->functions, reply)) {
		try_later(q);
		return;
	}
	if (reply->type == REDIS_REPLY_ARRAY && is_text(reply, 0)) {
		finish_array(q, reply);
		return;
	}
	if (reply->type == REDIS_REPLY_ERROR)
		log_once("redis: %s: %.200s", q->function, reply->str);
	/* An attempt whose reply was lost may have been charged. */
	if (strcmp(q->function, "reserve") == 0)
		quota_refund(q->filter, q->user, q->id);
	finish(q, QUOTA_BAD, NULL);
}

static void
ask(struct quota_query *q)
{
	struct keys keys;
	const char *argv[NKEYS + 2] = { keys.text[0], keys.text[1],
		keys.text[2], keys.text[3], keys.period, q->units };

	make_keys(q->filter, q->user, q->id, &keys);
	q->req = functions_call(q->filter->functions, on_reply, q, q->function,
	    NKEYS, NKEYS + 2, argv);
	if (q->req == NULL)
		try_later(q);
	else
		q->sent = true;
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	ask(arg);
}

static struct quota_query *
new_query(struct filter *f, const char *function, const char *user,
    const char *id, size_t units, quota_cb cb, void *arg)
{
	struct quota_query *q;

	if ((q = calloc(1, sizeof(*q))) == NULL)
		return (NULL);
	if ((q->retry = evtimer_new(f->base, on_retry, q)) == NULL) {
		free(q);
		return (NULL);
	}
	q->filter = f;
	q->function = function;
	q->cb = cb;
	q->arg = arg;
	strlcpy(q->user, user, sizeof(q->user));
	strlcpy(q->id, id, sizeof(q->id));
	snprintf(q->units, sizeof(q->units), "%zu", units);
	ask(q);
	return (q);
}

struct quota_query *
quota_check(struct filter *f, const char *user, size_t units, quota_cb cb,
    void *arg)
{
	return (new_query(f, "check", user, "none", units, cb, arg));
}

struct quota_query *
quota_reserve(struct filter *f, const char *user, const char *id, size_t units,
    quota_cb cb, void *arg)
{
	return (new_query(f, "reserve", user, id, units, cb, arg));
}

void
quota_cancel(struct quota_query *q)
{
	if (q->sent && strcmp(q->function, "reserve") == 0)
		quota_refund(q->filter, q->user, q->id);
	free_query(q);
}

static void
write_call(struct filter *f, const char *function, const char *user,
    const char *id)
{
	struct keys    keys;
	const char    *argv[NKEYS + 1] = { keys.text[0], keys.text[1],
		   keys.text[2], keys.text[3], keys.period };
	const char    *out[FUNCTIONS_ARGS];
	struct command command = { 0, out };

	make_keys(f, user, id, &keys);
	command.argc = functions_command(f->functions, function, NKEYS,
	    NKEYS + 1, argv, out);
	journal_write(f->journal, 1, &command);
}

void
quota_keep(struct filter *f, const char *user, const char *id)
{
	write_call(f, "keep", user, id);
}

void
quota_refund(struct filter *f, const char *user, const char *id)
{
	write_call(f, "refund", user, id);
}
