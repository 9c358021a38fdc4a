/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarms.h"
#include "conf.h"
#include "digest.h"
#include "functions.h"
#include "id.h"
#include "key.h"
#include "log.h"
#include "user.h"
#include "writequeue.h"

#define ARGS 5
#define EVENT "alarm." /* what an event of an alarm begins with */
#define HEX (2 * 8)    /* digits of a recipient */

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

/* Whether it is counted along with a message that is accepted. */
static bool
is_of_messages(size_t kind)
{
	return (kind != ALARM_BLOCKED && kind != ALARM_FAILURES);
}

bool
alarms_count_messages(const struct alarm_limits *limits)
{
	size_t i;

	for (i = 0; i < ALARM_KINDS; i++)
		if (is_of_messages(i) && limits->of[i].count > 0)
			return (true);
	return (false);
}

static bool
grow(struct alarms_digests *digests)
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
	if (!grow(digests))
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

	/* It may have been turned off since the message began. */
	if (!alarms_count(limits, kind) || alarm->action == ALARM_OFF)
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
	const struct netaddr host = netaddr_host(source);

	netaddr_text(&host, buf);
}

void
alarms_write(const struct conf *conf, const struct alarms_message *message,
    struct alarms_words *words)
{
	size_t i;

	words->plan[0] = '\0';
	for (i = 0; i < ALARM_KINDS; i++)
		if (is_of_messages(i))
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

/* It counts once, however often the reply is lost. */
static void
write_count(const struct alarms *alarms, const char *user,
    const struct alarm_limits *limits, enum alarm_kind kind, const char *value)
{
	char	       key[KEY_TEXT], plan[128] = "", id[ID_TEXT];
	const char    *argv[ARGS] = { key, plan, alarm_words[kind], value, id };
	const char    *out[ARGS + FUNCTIONS_KEY];
	struct command command = { 0, FUNCTIONS_KEY, out };

	key_user(key, alarms->conf->prefix, user, "");
	write_alarm(alarms->conf, limits, kind, plan, sizeof(plan));
	id_draw(id);
	command.argc = functions_command("smtpusers_alarm", 1, ARGS, argv, out);
	writequeue_add(alarms->writequeue, WRITEQUEUE_CHARGES, user, 1,
	    &command);
}

void
alarms_login(const struct alarms *alarms, const char *user,
    const struct alarm_limits *limits, const struct netaddr *source)
{
	char text[NETADDR_TEXT];

	write_source(source, text);
	if (alarms_count(limits, ALARM_SOURCES) && text[0] != '\0')
		write_count(alarms, user, limits, ALARM_SOURCES, text);
}

void
alarms_blocked(const struct alarms *alarms, const char *user,
    const struct alarm_limits *limits)
{
	if (alarms_count(limits, ALARM_BLOCKED))
		write_count(alarms, user, limits, ALARM_BLOCKED, "1");
}

void
alarms_failed(const struct alarms *alarms, const char *user,
    const struct alarm_limit *limit, size_t recipients)
{
	struct alarm_limits limits = { 0 };
	char		    number[24];

	limits.of[ALARM_FAILURES] = *limit;
	snprintf(number, sizeof(number), "%zu", recipients);
	if (alarms_count(&limits, ALARM_FAILURES))
		write_count(alarms, user, &limits, ALARM_FAILURES, number);
}
