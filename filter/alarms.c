/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/queue.h>
#include <sys/types.h>

#include <bsd/string.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarms.h"
#include "conf.h"
#include "digest.h"
#include "events.h"
#include "filter.h"
#include "functions.h"
#include "key.h"
#include "log.h"
#include "user.h"
#include "users.h"

#define ARGS 4
#define IPV6_BITS 64   /* of an address, that tell the host's network */
#define EVENT "alarm." /* what an event of an alarm begins with */
#define HEX (2 * 8)    /* digits of a recipient */

/* A call of smtpusers_alarm under way. */
struct alarms_query {
	LIST_ENTRY(alarms_query) entry;
	struct filter	   *filter;
	struct servers_req *req;
	char		    user[USER_NAME_MAX + 1];
	char		    key[KEY_TEXT];
};

void
alarms_limits(const struct conf *conf, const struct user *user,
    struct alarm_limits *limits)
{
	size_t i;

	*limits = user->alarms;
	alarm_take(limits, &conf->alarm_limits);
	for (i = 0; i < ALARM_KINDS; i++)
		if (conf->alarms[i].action == ALARM_OFF)
			limits->of[i].count = LIMIT_NONE;
}

bool
alarms_count(const struct alarm_limits *limits, enum alarm_kind kind)
{
	return (limits->of[kind].count > 0);
}

bool
alarms_count_messages(const struct alarm_limits *limits)
{
	size_t i;

	for (i = 0; i < ALARM_KINDS; i++)
		if (i != ALARM_BLOCKED && limits->of[i].count > 0)
			return (true);
	return (false);
}

static bool
has_room(struct alarms_digests *digests)
{
	size_t room = digests->room == 0 ? 16 : 2 * digests->room;
	char  *text;

	if (digests->n < digests->room)
		return (true);
	if ((text = realloc(digests->text, room * HEX + 1)) == NULL)
		return (false);
	digests->text = text;
	digests->room = room;
	return (true);
}

bool
alarms_add(struct alarms_digests *digests, const char *recipient)
{
	if (!has_room(digests))
		return (false);
	digest_public(recipient, digests->text + digests->n * HEX, HEX + 1);
	digests->n++;
	return (true);
}

void
alarms_drop(struct alarms_digests *digests)
{
	if (digests->n > 0)
		digests->text[--digests->n * HEX] = '\0';
}

void
alarms_clear(struct alarms_digests *digests)
{
	free(digests->text);
	memset(digests, 0, sizeof(*digests));
}

/* KIND:LIMIT:PERIOD:ACTION:LASTS for a kind that counts. */
static void
write_alarm(const struct conf *conf, const struct alarm_limits *limits,
    enum alarm_kind kind, char *buf, size_t size)
{
	const struct alarm *alarm = &conf->alarms[kind];
	const size_t	    len = strlen(buf);

	if (!alarms_count(limits, kind))
		return;
	snprintf(buf + len, size - len,
	    "%s%s:%" PRId64 ":%" PRId64 ":%s:%" PRId64, len > 0 ? " " : "",
	    alarm_words[kind], limits->of[kind].count, limits->of[kind].period,
	    alarm_actions[alarm->action], alarm->lasts);
}

/* An IPv6 host has all of its network, and many an address of it in a day. */
static void
write_source(const struct netaddr *source, char buf[NETADDR_TEXT])
{
	struct netaddr host = *source;

	buf[0] = '\0';
	if (host.len == sizeof(host.addr))
		netaddr_widen(&host, IPV6_BITS);
	if (host.len != 0)
		netaddr_text(&host, buf);
}

void
alarms_write(const struct conf *conf, const struct alarms_message *message,
    struct alarms_words *words)
{
	size_t i;

	words->plan[0] = '\0';
	for (i = 0; i < ALARM_KINDS; i++)
		if (i != ALARM_BLOCKED)
			write_alarm(conf, message->limits, (enum alarm_kind)i,
			    words->plan, sizeof(words->plan));
	write_source(message->source, words->source);
	snprintf(words->number, sizeof(words->number), "%zu",
	    message->recipients);
	words->values[0] = words->plan;
	words->values[1] = words->source;
	words->values[2] = words->number;
	words->values[3] = message->digests->n > 0 ? message->digests->text
						   : "";
}

static const char *
figure_of(const struct quota_words *words, const char *name)
{
	size_t i;

	for (i = 1; i + 1 < words->n; i += 2)
		if (strcmp(words->word[i], name) == 0)
			return (words->word[i + 1]);
	return ("");
}

void
alarms_tell(const char *user, const struct quota_words *words)
{
	const char *ends = figure_of(words, "until");

	if (strncmp(words->word[0], EVENT, strlen(EVENT)) != 0)
		return;
	log_warnx("alarm: user=%s alarm=%s count=%s limit=%s period=%s "
		  "action=%s%s%s",
	    user, words->word[0] + strlen(EVENT), figure_of(words, "count"),
	    figure_of(words, "limit"), figure_of(words, "period"),
	    figure_of(words, "action"), ends[0] != '\0' ? " until=" : "", ends);
}

static void
free_call(struct alarms_query *call)
{
	LIST_REMOVE(call, entry);
	free(call);
}

/* {"bad", key} */
static void
tell_bad(const struct alarms_query *call, const redisReply *reply)
{
	if (reply->elements < 2 ||
	    reply->element[0]->type != REDIS_REPLY_STRING ||
	    reply->element[1]->type != REDIS_REPLY_STRING ||
	    strcmp(reply->element[0]->str, "bad") != 0)
		return;
	users_log_bad(call->key, reply->element[1]->str);
}

static void
tell(const struct alarms_query *call, const struct quota_words *words)
{
	const struct filter *f = call->filter;

	alarms_tell(call->user, words);
	events_tell(f->writequeue, f->conf, call->user, "", words);
}

static void
on_alarm_reply(void *arg, const redisReply *reply)
{
	struct alarms_query *call = arg;
	struct quota_words   words;
	size_t		     i;

	if (functions_lost(call->filter->functions, call->key, reply) ||
	    reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
		free_call(call);
		return;
	}
	tell_bad(call, reply);
	for (i = 0; i < reply->elements; i++)
		if (quota_words(reply->element[i], &words))
			tell(call, &words);
	free_call(call);
}

static void
count(struct filter *f, const char *user, const struct alarm_limits *limits,
    enum alarm_kind kind, const char *value)
{
	struct alarms_query *call;
	char		     plan[128] = "";
	const char	    *argv[ARGS];

	if ((call = calloc(1, sizeof(*call))) == NULL)
		return;
	call->filter = f;
	strlcpy(call->user, user, sizeof(call->user));
	key_user(call->key, f->conf->prefix, user, "");
	write_alarm(f->conf, limits, kind, plan, sizeof(plan));
	argv[0] = call->key;
	argv[1] = plan;
	argv[2] = alarm_words[kind];
	argv[3] = value;
	LIST_INSERT_HEAD(&f->alarm_calls, call, entry);
	call->req = functions_call(f->functions, on_alarm_reply, call,
	    "smtpusers_alarm", 1, ARGS, argv);
	if (call->req == NULL)
		free_call(call);
}

void
alarms_login(struct filter *f, const char *user,
    const struct alarm_limits *limits, const struct netaddr *source)
{
	char text[NETADDR_TEXT];

	write_source(source, text);
	if (alarms_count(limits, ALARM_SOURCES) && text[0] != '\0')
		count(f, user, limits, ALARM_SOURCES, text);
}

void
alarms_blocked(struct filter *f, const char *user,
    const struct alarm_limits *limits)
{
	if (alarms_count(limits, ALARM_BLOCKED))
		count(f, user, limits, ALARM_BLOCKED, "1");
}

void
alarms_stop(struct filter *f)
{
	struct alarms_query *call, *next;

	LIST_FOREACH_SAFE(call, &f->alarm_calls, entry, next) {
		servers_cancel(call->req);
		free_call(call);
	}
}
