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
#include "domain.h"
#include "functions.h"
#include "key.h"
#include "log.h"
#include "quota.h"
#include "recent.h"
#include "servers.h"
#include "user.h"
#include "users.h"
#include "writequeue.h"

#define NKEYS 4
#define NARGS (NKEYS + 2) /* and then the tags */
#define RETRY 20000	  /* microseconds */

enum part_kind {
	PART_USER,
	PART_ACCOUNT,
	NPARTS
};

/* The reservation of the user, or of the account. */
struct part {
	struct quota_query *query;
	struct servers_req *req;
	struct event	   *retry;
	char		    name[USER_NAME_MAX + 1]; /* "": nothing is asked */
	bool		    sent;		     /* it may have been made */
	bool		    done;
	enum quota_result   result;
	bool		    passing;
	char		    domain[DOMAIN_TEXT]; /* "": not a sender's limit */
	char		    reply[QUOTA_REPLY];
};

struct quota_query {
	const struct quotas *quotas;
	quota_cb	     cb;
	void		    *arg;
	bool		     reserves; /* or only checks */
	struct part	     parts[NPARTS];
	char		     id[QUOTA_ID];
	char		     units[24];
	size_t		     nalarm;
	char		    *alarm[QUOTA_WORDS];
	int		     argc;
	const char	   **argv; /* of the user's part, from the tags on */
	char		    *text; /* that it points to */
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
make_key(char key[KEY_TEXT], const struct conf *conf, enum part_kind kind,
    const char *name, const char *part)
{
	if (kind == PART_ACCOUNT)
		key_account(key, conf->prefix, name, part);
	else
		key_user(key, conf->prefix, name, part);
}

static void
make_keys(const struct conf *conf, enum part_kind kind, const char *name,
    const char *id, struct keys *keys)
{
	char hold[sizeof("used:hold:") + QUOTA_ID];

	snprintf(hold, sizeof(hold), "used:hold:%s", id);
	make_key(keys->text[0], conf, kind, name, "");
	make_key(keys->text[1], conf, kind, name, "used:quota");
	make_key(keys->text[2], conf, kind, name, "used:rate");
	make_key(keys->text[3], conf, kind, name, hold);
	format_period(conf->quota_period, keys->period, sizeof(keys->period));
}

void
quota_id(char id[QUOTA_ID])
{
	uint64_t n;

	arc4random_buf(&n, sizeof(n));
	snprintf(id, QUOTA_ID, "%016" PRIx64, n);
}

static enum part_kind
kind_of(const struct part *part)
{
	return ((enum part_kind)(part - part->query->parts));
}

static const char *
function_of(const struct quota_query *q)
{
	return (q->reserves ? "smtpusers_reserve" : "smtpusers_check");
}

static void
quota_free(struct quota_query *q)
{
	size_t i;

	for (i = 0; i < NPARTS; i++) {
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

/* unheard: nobody knows what the reservation was answered. */
static void
write_call(const struct quotas *quotas, const char *function,
    enum part_kind kind, const char *user, const char *name, const char *id,
    bool unheard)
{
	struct keys    keys;
	const char    *argv[NKEYS + 2] = { keys.text[0], keys.text[1],
		   keys.text[2], keys.text[3], keys.period, "unheard" };
	const char    *out[NKEYS + 2 + FUNCTIONS_KEY];
	const int      argc = unheard ? NKEYS + 2 : NKEYS + 1;
	struct command command = { 0, FUNCTIONS_KEY, out };

	make_keys(quotas->conf, kind, name, id, &keys);
	command.argc = functions_command(function, NKEYS, argc, argv, out);
	writequeue_add(quotas->writequeue, WRITEQUEUE_CHARGES, user, 1,
	    &command);
}

static void
settle(const struct quotas *quotas, const char *function, const char *user,
    const char *account, const char *id)
{
	write_call(quotas, function, PART_USER, user, user, id, false);
	if (account[0] != '\0')
		write_call(quotas, function, PART_ACCOUNT, user, account, id,
		    false);
}

void
quota_keep(const struct quotas *quotas, const char *user, const char *account,
    const char *id)
{
	settle(quotas, "smtpusers_keep", user, account, id);
}

void
quota_refund(const struct quotas *quotas, const char *user, const char *account,
    const char *id)
{
	settle(quotas, "smtpusers_refund", user, account, id);
}

/* Gives back what a part has, or may have. */
static void
give_back(struct part *part)
{
	const struct quota_query *q = part->query;

	if (q->reserves && part->sent)
		write_call(q->quotas, "smtpusers_refund", kind_of(part),
		    q->parts[PART_USER].name, part->name, q->id, !part->done);
	part->sent = false;
}

void
quota_cancel(struct quota_query *q)
{
	size_t i;

	for (i = 0; i < NPARTS; i++)
		give_back(&q->parts[i]);
	quota_free(q);
}

/* The part that refuses, the user's first; NULL: none does. */
static struct part *
refusing(struct quota_query *q)
{
	size_t i;

	for (i = 0; i < NPARTS; i++)
		if (q->parts[i].result != QUOTA_OK)
			return (&q->parts[i]);
	return (NULL);
}

static enum quota_whose
whose_limit(const struct part *part)
{
	if (part->domain[0] != '\0')
		return (QUOTA_OF_SENDER);
	return (kind_of(part) == PART_ACCOUNT ? QUOTA_OF_ACCOUNT
					      : QUOTA_OF_USER);
}

/* Once all is there: both have room, or nothing is kept. */
static void
conclude_quota(struct quota_query *q)
{
	struct quota_answer answer = { .result = QUOTA_OK };
	struct part	   *why;
	size_t		    i;

	for (i = 0; i < NPARTS; i++)
		if (q->parts[i].name[0] != '\0' && !q->parts[i].done)
			return;
	if ((why = refusing(q)) != NULL) {
		for (i = 0; i < NPARTS; i++)
			give_back(&q->parts[i]);
		answer.result = why->result;
		answer.reply = why->reply;
		answer.passing = why->passing;
		answer.whose = whose_limit(why);
		answer.domain = why->domain;
		for (i = 0; i < q->nalarm; i++)
			answer.words.word[i] = q->alarm[i];
		answer.words.n = q->nalarm;
	}
	q->cb(q->arg, &answer);
	quota_free(q);
}

static void
conclude_part(struct part *part, enum quota_result result)
{
	part->done = true;
	part->result = result;
	conclude_quota(part->query);
}

static void
ask_later(struct part *part)
{
	const struct timeval tv = { 0, RETRY };

	event_add(part->retry, &tv);
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
worth_logging(const struct part *part, const char *what)
{
	const struct quotas *quotas = part->query->quotas;
	const char *const    strings[] = { part->name, what };
	uint8_t		     digest[DIGEST_LEN];
	bool		     told;

	if (quotas->logged == NULL)
		return (true);
	digest_strings(digest, 2, strings);
	told = recent_has(quotas->logged, digest);
	if (!told)
		recent_add(quotas->logged, digest);
	return (!told);
}

static void
log_bad(const struct part *part, const char *what)
{
	char key[KEY_TEXT];

	make_key(key, part->query->quotas->conf, kind_of(part), part->name, "");
	if (worth_logging(part, what))
		users_log_bad(key, what);
}

/* Whose limit a reply is about, behind the period. */
static void
write_whose(const struct part *part, char *buf, size_t size)
{
	buf[0] = '\0';
	if (part->domain[0] != '\0')
		snprintf(buf, size, " from %s", part->domain);
	else if (kind_of(part) == PART_ACCOUNT)
		strlcpy(buf, " of the account", size);
}

/*
 * {"full", which, limit, period, seconds, key, domain}.  What can never have
 * room is refused for good: the client would try for days.
 */
static void
write_full(struct part *part, const redisReply *reply)
{
	const struct conf *conf = part->query->quotas->conf;
	const char *what = conf->quota_unit == UNIT_RECIPIENT ? "recipients"
							      : "messages";
	const char *limit = reply->element[2]->str;
	const char *period = reply->element[3]->str;
	const char *seconds = reply->element[4]->str;
	char	    whose[300];

	write_whose(part, whose, sizeof(whose));
	if (strcmp(reply->element[1]->str, "sender_count") == 0)
		snprintf(part->reply, sizeof(part->reply),
		    "451 4.7.1 [QUOTA] No more%s, %.20s sender domains are "
		    "counted, try again in %.20s s",
		    whose, limit, seconds);
	else if (seconds[0] == '\0')
		snprintf(part->reply, sizeof(part->reply),
		    "550 5.7.1 [QUOTA] %.20s %s per %.20s%s allowed, this "
		    "message has more",
		    limit, what, period, whose);
	else
		snprintf(part->reply, sizeof(part->reply),
		    "451 4.7.1 [QUOTA] %.20s %s per %.20s%s used, try again "
		    "in %.20s s",
		    limit, what, period, whose, seconds);
}

static void
take_full(struct part *part, const redisReply *reply)
{
	const char *key = is_text(reply, 5) ? reply->element[5]->str : "";

	part->passing = key[0] != '\0' ||
	    strcmp(reply->element[1]->str, "sender_count") == 0;
	if (key[0] != '\0' && worth_logging(part, key))
		log_warnx("%.200s: cannot be read, so it counts as used up: "
			  "type smtpusers %squota %s --reset",
		    key, kind_of(part) == PART_ACCOUNT ? "account " : "",
		    part->name);
	if (is_text(reply, 6))
		strlcpy(part->domain, reply->element[6]->str,
		    sizeof(part->domain));
	write_full(part, reply);
}

/* The texts of a reply, as far as there is room for them. */
static struct quota_words
words_of(const redisReply *reply)
{
	struct quota_words words = { .n = 0 };
	size_t		   i;

	for (i = 0; i < QUOTA_WORDS && is_text(reply, i); i++)
		words.word[words.n++] = reply->element[i]->str;
	return (words);
}

bool
quota_words(const redisReply *reply, struct quota_words *words)
{
	words->n = 0;
	if (reply->type == REDIS_REPLY_ARRAY)
		*words = words_of(reply);
	return (words->n > 0);
}

/* The other part may still be under way when the reply is gone. */
static void
take_alarm(struct quota_query *q, const redisReply *reply)
{
	const struct quota_words words = words_of(reply);

	while (q->nalarm < words.n) {
		q->alarm[q->nalarm] = strdup(words.word[q->nalarm]);
		if (q->alarm[q->nalarm] == NULL)
			return;
		q->nalarm++;
	}
}

/* Behind the answer there is an array for each event. */
static void
tell_events(const struct part *part, const redisReply *reply)
{
	const struct quota_query *q = part->query;
	const char		 *account = part->name;
	struct quota_words	  words;
	size_t			  i;

	if (q->quotas->event == NULL)
		return;
	if (kind_of(part) == PART_USER)
		account = "";
	for (i = 0; i < reply->elements; i++) {
		if (quota_words(reply->element[i], &words))
			q->quotas->event(q->quotas->event_arg,
			    q->parts[PART_USER].name, account, &words);
	}
}

static void
take_array(struct part *part, const redisReply *reply)
{
	const char *word = reply->element[0]->str;

	tell_events(part, reply);
	if (strcmp(word, "ok") == 0) {
		conclude_part(part, QUOTA_OK);
		return;
	}
	part->sent = false; /* nothing was charged */
	if (strcmp(word, "full") == 0 && is_text(reply, 1) &&
	    is_text(reply, 2) && is_text(reply, 3) && is_text(reply, 4)) {
		take_full(part, reply);
		conclude_part(part, QUOTA_FULL);
	} else if (strcmp(word, "alarm") == 0) {
		take_alarm(part->query, reply);
		conclude_part(part, QUOTA_ALARM);
	} else {
		log_bad(part,
		    is_text(reply, 1) ? reply->element[1]->str : word);
		conclude_part(part, QUOTA_BAD);
	}
}

/* Whether nobody has judged it, or none who knows of all that was asked. */
static bool
is_unjudged(const struct part *part, const redisReply *reply)
{
	const struct quotas *quotas = part->query->quotas;
	char		     key[KEY_TEXT];

	make_key(key, quotas->conf, kind_of(part), part->name, "");
	return (functions_lost(quotas->functions, key, reply) ||
	    !functions_current(quotas->functions, key, reply));
}

/* An attempt whose reply was lost may have been charged before an error. */
static void
on_quota_reply(void *arg, const redisReply *reply)
{
	struct part *part = arg;

	part->req = NULL;
	if (reply == NULL || is_unjudged(part, reply))
		ask_later(part);
	else if (reply->type == REDIS_REPLY_ARRAY && is_text(reply, 0))
		take_array(part, reply);
	else
		conclude_part(part, QUOTA_BAD);
}

static void
ask_part(struct part *part)
{
	struct quota_query *q = part->query;
	struct functions   *functions = q->quotas->functions;
	const bool	    of_user = kind_of(part) == PART_USER;
	const int	    argc = of_user ? q->argc : NARGS;
	struct keys	    keys;
	size_t		    i;

	make_keys(q->quotas->conf, kind_of(part), part->name, q->id, &keys);
	for (i = 0; i < NKEYS; i++)
		q->argv[i] = keys.text[i];
	q->argv[NKEYS] = keys.period;
	q->argv[NKEYS + 1] = q->units;
	part->req = (q->reserves ? functions_commit : functions_call)(functions,
	    on_quota_reply, part, function_of(q), NKEYS, argc, q->argv);
	if (part->req == NULL)
		ask_later(part);
	else
		part->sent = true;
}

static void
on_quota_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	ask_part(arg);
}

static const char *
add_text(char **at, const char *text)
{
	char *copy = *at;

	*at = stpcpy(copy, text) + 1;
	return (copy);
}

/* TAG COUNT VALUE... for each tag. */
static bool
copy_tags(struct quota_query *q, const struct quota_question *request)
{
	size_t nwords = NARGS, size = 1, i, k;
	char   count[24], *at;

	for (i = 0; i < request->ntags; i++) {
		const struct quota_tag *tag = &request->tags[i];

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
	for (i = 0; i < request->ntags; i++) {
		const struct quota_tag *tag = &request->tags[i];

		snprintf(count, sizeof(count), "%zu", tag->n);
		q->argv[q->argc++] = add_text(&at, tag->tag);
		q->argv[q->argc++] = add_text(&at, count);
		for (k = 0; k < tag->n; k++)
			q->argv[q->argc++] = add_text(&at, tag->values[k]);
	}
	return (true);
}

static bool
take_request(struct quota_query *q, const struct quota_question *request)
{
	const char *const names[] = {
		[PART_USER] = request->user, [PART_ACCOUNT] = request->account
	};
	struct part *part;
	size_t	     i;

	for (i = 0; i < NPARTS; i++) {
		part = &q->parts[i];
		part->query = q;
		strlcpy(part->name, names[i], sizeof(part->name));
		part->retry = evtimer_new(q->quotas->base, on_quota_retry,
		    part);
		if (part->retry == NULL)
			return (false);
	}
	snprintf(q->units, sizeof(q->units), "%zu", request->units);
	return (copy_tags(q, request));
}

static struct quota_query *
quota_ask(const struct quotas *quotas, bool reserves,
    const struct quota_question *request, const char *id, quota_cb cb,
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
	if (!take_request(q, request)) {
		quota_free(q);
		return (NULL);
	}
	for (i = 0; i < NPARTS; i++)
		if (q->parts[i].name[0] != '\0')
			ask_part(&q->parts[i]);
	return (q);
}

struct quota_query *
quota_check(const struct quotas *quotas, const struct quota_question *request,
    quota_cb cb, void *arg)
{
	return (quota_ask(quotas, false, request, "none", cb, arg));
}

struct quota_query *
quota_reserve(const struct quotas *quotas, const struct quota_question *request,
    const char *id, quota_cb cb, void *arg)
{
	return (quota_ask(quotas, true, request, id, cb, arg));
}
