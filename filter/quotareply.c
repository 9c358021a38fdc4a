/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <hiredis/hiredis.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "conf.h"
#include "key.h"
#include "log.h"
#include "quotapart.h"
#include "quotareply.h"
#include "recent.h"
#include "users.h"

static bool
is_text(const redisReply *reply, size_t i)
{
	return (i < reply->elements &&
	    reply->element[i]->type == REDIS_REPLY_STRING &&
	    strlen(reply->element[i]->str) == reply->element[i]->len);
}

bool
quotareply_worth_logging(const struct quotas *quotas, const char *key,
    const char *what)
{
	const char *const strings[] = { key, what };

	return (quotas->logged == NULL ||
	    recent_add_new(quotas->logged, 2, strings));
}

static void
log_bad_record(const struct quota_part *part, const char *what)
{
	char key[KEY_TEXT];

	quotakeys_record(key, part->query->quotas->conf, part->kind,
	    part->name);
	if (quotareply_worth_logging(part->query->quotas, key, what))
		users_log_bad(key, what);
}

/* Whose limit a reply is about, behind the period. */
static void
write_whose(const struct quota_part *part, char *buf, size_t size)
{
	buf[0] = '\0';
	if (part->whose == QUOTA_OF_SENDER)
		snprintf(buf, size, " from %s", part->domain);
	else if (part->whose == QUOTA_OF_ACCOUNT)
		strlcpy(buf, " of the account", size);
}

/*
 * {"full", which, limit, period, seconds, key, domain}.  What can never have
 * room is refused for good: the client would try for days.
 */
static void
write_full(struct quota_part *part, const redisReply *reply)
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
	else if (part->never)
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
take_full(struct quota_part *part, const redisReply *reply)
{
	const char *key = is_text(reply, 5) ? reply->element[5]->str : "";
	const bool  too_many = strcmp(reply->element[1]->str, "sender_count") ==
	    0;

	part->passing = key[0] != '\0' || too_many;
	part->never = !too_many && reply->element[4]->str[0] == '\0';
	if (key[0] != '\0' &&
	    quotareply_worth_logging(part->query->quotas, part->name, key))
		log_warnx("%.200s: cannot be read, so it counts as used up: "
			  "type smtpusers %squota %s --reset",
		    key, part->kind == CHARGED_ACCOUNT ? "account " : "",
		    part->name);
	if (is_text(reply, 6) && reply->element[6]->len > 0) {
		part->whose = QUOTA_OF_SENDER;
		strlcpy(part->domain, reply->element[6]->str,
		    sizeof(part->domain));
	}
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
quotareply_words(const redisReply *reply, struct quota_words *words)
{
	words->n = 0;
	if (reply->type == REDIS_REPLY_ARRAY)
		*words = words_of(reply);
	return (words->n > 0);
}

/* The other part may still be under way when the reply is gone. */
static void
keep_alarm(struct quota_query *q, const redisReply *reply)
{
	const struct quota_words words = words_of(reply);

	while (q->nalarm < words.n) {
		q->alarm[q->nalarm] = strdup(words.word[q->nalarm]);
		if (q->alarm[q->nalarm] == NULL)
			return;
		q->nalarm++;
	}
}

void
quota_events(const struct quotas *quotas, const char *user, const char *account,
    const redisReply *reply)
{
	struct quota_words words;
	size_t		   i;

	if (quotas->event == NULL)
		return;
	for (i = 0; i < reply->elements; i++)
		if (quotareply_words(reply->element[i], &words))
			quotas->event(quotas->event_arg, user, account, &words);
}

static void
tell_events(const struct quota_part *part, const redisReply *reply)
{
	const struct quota_query *q = part->query;
	const bool		  of_user = part->kind == CHARGED_USER;

	quota_events(q->quotas, q->parts[CHARGED_USER].name,
	    of_user ? "" : part->name, reply);
}

enum quota_result
quotareply_take(struct quota_part *part, const redisReply *reply)
{
	const char *word;

	if (reply->type != REDIS_REPLY_ARRAY || !is_text(reply, 0))
		return (QUOTA_BAD);
	word = reply->element[0]->str;
	tell_events(part, reply);
	if (strcmp(word, "ok") == 0)
		return (QUOTA_OK);
	part->state = PART_NOT_MADE;
	if (strcmp(word, "full") == 0 && is_text(reply, 1) &&
	    is_text(reply, 2) && is_text(reply, 3) && is_text(reply, 4)) {
		take_full(part, reply);
		return (QUOTA_FULL);
	}
	if (strcmp(word, "alarm") == 0) {
		keep_alarm(part->query, reply);
		return (QUOTA_ALARM);
	}
	log_bad_record(part, is_text(reply, 1) ? reply->element[1]->str : word);
	return (QUOTA_BAD);
}
