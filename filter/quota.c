/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "charges.h"
#include "functions.h"
#include "key.h"
#include "quotapart.h"
#include "quotareply.h"
#include "servers.h"

#define NARGS (QUOTA_KEYS + 2) /* and then the tags */

static const char *
function_of(const struct quota_query *q)
{
	return (q->reserves ? "smtpusers_reserve" : "smtpusers_check");
}

static void
quota_free(struct quota_query *q)
{
	size_t i;

	for (i = 0; i < NCHARGED; i++) {
		if (q->parts[i].req != NULL)
			servers_cancel(q->parts[i].req);
		if (q->parts[i].retry != NULL)
			event_free(q->parts[i].retry);
	}
	for (i = 0; i < q->nalarm; i++)
		free(q->alarm[i]);
	free(q->argv);
	free(q->text);
	free(q);
}

/* Gives back what a part has, or may have. */
static void
give_back(struct quota_part *part)
{
	const struct quota_query *q = part->query;

	if (q->reserves &&
	    (part->state == PART_UNHEARD || part->state == PART_MADE))
		charges_take_back(q->quotas, part->kind,
		    q->parts[CHARGED_USER].name, part->name, q->id,
		    part->state == PART_UNHEARD);
	part->state = PART_NOT_MADE;
}

void
quota_cancel(struct quota_query *q)
{
	size_t i;

	for (i = 0; i < NCHARGED; i++)
		give_back(&q->parts[i]);
	quota_free(q);
}

/* The part that refuses, the user's first; NULL: none does. */
static struct quota_part *
refusing(struct quota_query *q)
{
	size_t i;

	for (i = 0; i < NCHARGED; i++)
		if (q->parts[i].result != QUOTA_OK)
			return (&q->parts[i]);
	return (NULL);
}

static bool
is_pending(const struct quota_part *part)
{
	return (part->state == PART_WAITING || part->state == PART_UNHEARD);
}

/* Once all is there: both have room, or nothing is kept. */
static void
conclude_quota(struct quota_query *q)
{
	struct quota_answer answer = { .result = QUOTA_OK };
	struct quota_part  *why;
	size_t		    i;

	for (i = 0; i < NCHARGED; i++)
		if (is_pending(&q->parts[i]))
			return;
	if ((why = refusing(q)) != NULL) {
		for (i = 0; i < NCHARGED; i++)
			give_back(&q->parts[i]);
		answer.result = why->result;
		answer.reply = why->reply;
		answer.passing = why->passing;
		answer.never = why->never;
		answer.whose = why->whose;
		answer.domain = why->domain;
		for (i = 0; i < q->nalarm; i++)
			answer.words.word[i] = q->alarm[i];
		answer.words.n = q->nalarm;
	}
	q->cb(q->arg, &answer);
	quota_free(q);
}

static void
ask_later(struct quota_part *part)
{
	const struct timeval tv = { 0, SERVERS_RETRY };

	event_add(part->retry, &tv);
}

/* Whether nobody has judged it, or none who knows of all that was asked. */
static bool
is_unjudged(const struct quota_part *part, const redisReply *reply)
{
	const struct quotas *quotas = part->query->quotas;
	char		     key[KEY_TEXT];

	quotakeys_record(key, quotas->conf, part->kind, part->name);
	return (functions_lost(quotas->functions, key, reply) ||
	    !functions_current(quotas->functions, key, reply));
}

/* An attempt whose reply was lost may have been charged before an error. */
static void
on_quota_reply(void *arg, const redisReply *reply)
{
	struct quota_part *part = arg;

	part->req = NULL;
	if (reply == NULL || is_unjudged(part, reply)) {
		ask_later(part);
		return;
	}
	part->state = PART_MADE;
	part->result = quotareply_take(part, reply);
	conclude_quota(part->query);
}

static void
ask_part(struct quota_part *part)
{
	struct quota_query *q = part->query;
	struct functions   *functions = q->quotas->functions;
	const bool	    of_user = part->kind == CHARGED_USER;
	const int	    argc = of_user ? q->argc : NARGS;
	struct quota_keys   keys;
	size_t		    i;

	quotakeys_make(q->quotas->conf, part->kind, part->name, q->id, &keys);
	for (i = 0; i < QUOTA_KEYS; i++)
		q->argv[i] = keys.text[i];
	q->argv[QUOTA_KEYS] = keys.period;
	q->argv[QUOTA_KEYS + 1] = q->units;
	part->req = (q->reserves ? functions_commit : functions_call)(functions,
	    on_quota_reply, part, function_of(q), QUOTA_KEYS, argc, q->argv);
	if (part->req == NULL)
		ask_later(part);
	else
		part->state = PART_UNHEARD;
}

static void
on_quota_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	ask_part(arg);
}

static const char *
append_text(char **at, const char *text)
{
	char *copy = *at;

	*at = stpcpy(copy, text) + 1;
	return (copy);
}

/* TAG COUNT VALUE... for each tag. */
static bool
copy_tags(struct quota_query *q, const struct quota_question *question)
{
	size_t nwords = NARGS, size = 1, i, k;
	char   count[24], *at;

	for (i = 0; i < question->ntags; i++) {
		const struct quota_tag *tag = &question->tags[i];

		nwords += 2 + tag->n;
		size += strlen(tag->tag) + 1 + sizeof(count);
		for (k = 0; k < tag->n; k++)
			size += strlen(tag->values[k]) + 1;
	}
	q->argv = calloc(nwords, sizeof(*q->argv));
	q->text = malloc(size);
	if (q->argv == NULL || q->text == NULL)
		return (false);
	at = q->text;
	q->argc = NARGS;
	for (i = 0; i < question->ntags; i++) {
		const struct quota_tag *tag = &question->tags[i];

		snprintf(count, sizeof(count), "%zu", tag->n);
		q->argv[q->argc++] = append_text(&at, tag->tag);
		q->argv[q->argc++] = append_text(&at, count);
		for (k = 0; k < tag->n; k++)
			q->argv[q->argc++] = append_text(&at, tag->values[k]);
	}
	return (true);
}

static bool
take_question(struct quota_query *q, const struct quota_question *question)
{
	const char *const  names[] = { [CHARGED_USER] = question->user,
		 [CHARGED_ACCOUNT] = question->account };
	struct quota_part *part;
	size_t		   i;

	for (i = 0; i < NCHARGED; i++) {
		part = &q->parts[i];
		part->query = q;
		part->kind = (enum charged)i;
		part->state = names[i][0] != '\0' ? PART_WAITING : PART_UNUSED;
		part->whose = i == CHARGED_ACCOUNT ? QUOTA_OF_ACCOUNT
						   : QUOTA_OF_USER;
		strlcpy(part->name, names[i], sizeof(part->name));
		part->retry = evtimer_new(q->quotas->base, on_quota_retry,
		    part);
		if (part->retry == NULL)
			return (false);
	}
	snprintf(q->units, sizeof(q->units), "%zu", question->units);
	return (copy_tags(q, question));
}

static struct quota_query *
quota_ask(const struct quotas *quotas, bool reserves,
    const struct quota_question *question, const char *id, quota_cb cb,
    void *arg)
{
	struct quota_query *q;
	size_t		    i;

	if ((q = calloc(1, sizeof(*q))) == NULL)
		return (NULL);
	q->quotas = quotas;
	q->reserves = reserves;
	q->cb = cb;
	q->arg = arg;
	strlcpy(q->id, id, sizeof(q->id));
	if (!take_question(q, question)) {
		quota_free(q);
		return (NULL);
	}
	for (i = 0; i < NCHARGED; i++)
		if (q->parts[i].state == PART_WAITING)
			ask_part(&q->parts[i]);
	return (q);
}

struct quota_query *
quota_check(const struct quotas *quotas, const struct quota_question *question,
    quota_cb cb, void *arg)
{
	return (quota_ask(quotas, false, question, "none", cb, arg));
}

struct quota_query *
quota_reserve(const struct quotas *quotas,
    const struct quota_question *question, const char *id, quota_cb cb,
    void *arg)
{
	return (quota_ask(quotas, true, question, id, cb, arg));
}
