/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "charges.h"
#include "functions.h"
#include "log.h"
#include "quota.h"
#include "user.h"
#include "users.h"
#include "writequeue.h"

#define ACCOUNT "account:" /* what the name stands behind; otherwise a user's */

/* PREFIXuser:{NAME} or PREFIXaccount:{NAME} */
static bool
is_of_account(const char *key, char name[USER_NAME_MAX + 1])
{
	const size_t len = strlen(ACCOUNT);
	const char  *open = strrchr(key, '{');

	name[0] = '\0';
	if (open == NULL)
		return (false);
	snprintf(name, USER_NAME_MAX + 1, "%.*s", (int)strcspn(open + 1, "}"),
	    open + 1);
	return ((size_t)(open - key) >= len &&
	    strncmp(open - len, ACCOUNT, len) == 0);
}

static void
tell_events(const struct quotas *quotas, const char *key,
    const redisReply *reply)
{
	char		   name[USER_NAME_MAX + 1];
	const bool	   of_account = is_of_account(key, name);
	struct quota_words words;
	size_t		   i;

	if (quotas->event == NULL)
		return;
	for (i = 0; i < reply->elements; i++)
		if (quota_words(reply->element[i], &words))
			quotas->event(quotas->event_arg, name,
			    of_account ? name : "", &words);
}

/* {"bad", key} */
static void
log_bad(const char *key, const redisReply *reply)
{
	struct quota_words words;

	if (quota_words(reply, &words) && words.n > 1 &&
	    strcmp(words.word[0], "bad") == 0)
		users_log_bad(key, words.word[1]);
}

static bool
on_charged(void *arg, const struct command *command, const redisReply *reply)
{
	const struct quotas *quotas = arg;
	const char	    *key = command->argv[command->key];

	if (functions_lost(quotas->functions, key, reply) ||
	    !functions_current(quotas->functions, key, reply))
		return (false);
	if (reply->type != REDIS_REPLY_ARRAY)
		return (true);
	log_bad(key, reply);
	tell_events(quotas, key, reply);
	return (true);
}

void
charges_watch(struct quotas *quotas)
{
	writequeue_watch(quotas->writequeue, WRITEQUEUE_CHARGES, on_charged,
	    quotas);
}
