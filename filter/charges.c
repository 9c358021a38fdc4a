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
#include "key.h"
#include "quota.h"
#include "quotakeys.h"
#include "quotareply.h"
#include "users.h"
#include "writequeue.h"

/* unheard: nobody knows what the reservation was answered. */
static void
write_call(const struct quotas *quotas, const char *function, enum charged kind,
    const char *user, const char *name, const char *id, bool unheard)
{
	struct quota_keys keys;
	const char	 *argv[QUOTA_KEYS + 2] = { keys.text[0], keys.text[1],
		      keys.text[2], keys.text[3], keys.period, "unheard" };
	const char	 *out[QUOTA_KEYS + 2 + FUNCTIONS_KEY];
	const int	  argc = unheard ? QUOTA_KEYS + 2 : QUOTA_KEYS + 1;
	struct command	  command = { 0, FUNCTIONS_KEY, out };

	quotakeys_make(quotas->conf, kind, name, id, &keys);
	command.argc = functions_command(function, QUOTA_KEYS, argc, argv, out);
	writequeue_add(quotas->writequeue, WRITEQUEUE_CHARGES, user, 1,
	    &command);
}

void
charges_take_back(const struct quotas *quotas, enum charged kind,
    const char *user, const char *name, const char *id, bool unheard)
{
	write_call(quotas, "smtpusers_refund", kind, user, name, id, unheard);
}

static void
write_calls(const struct quotas *quotas, const char *function, const char *user,
    const char *account, const char *id)
{
	write_call(quotas, function, CHARGED_USER, user, user, id, false);
	if (account[0] != '\0')
		write_call(quotas, function, CHARGED_ACCOUNT, user, account, id,
		    false);
}

void
charges_keep(const struct quotas *quotas, const char *user, const char *account,
    const char *id)
{
	write_calls(quotas, "smtpusers_keep", user, account, id);
}

void
charges_refund(const struct quotas *quotas, const char *user,
    const char *account, const char *id)
{
	write_calls(quotas, "smtpusers_refund", user, account, id);
}

/* {"bad", key} */
static void
log_if_bad(const struct quotas *quotas, const char *key,
    const redisReply *reply)
{
	struct quota_words words;

	if (quotareply_words(reply, &words) && words.n > 1 &&
	    strcmp(words.word[0], "bad") == 0 &&
	    quotareply_worth_logging(quotas, key, words.word[1]))
		users_log_bad(key, words.word[1]);
}

static bool
on_charged(void *arg, const struct command *command, const redisReply *reply)
{
	const struct quotas *quotas = arg;
	const char	    *key = command->argv[command->key];
	char		     name[KEY_TEXT];
	bool		     of_account;

	if (functions_lost(quotas->functions, key, reply) ||
	    !functions_current(quotas->functions, key, reply))
		return (false);
	if (reply->type != REDIS_REPLY_ARRAY)
		return (true);
	log_if_bad(quotas, key, reply);
	of_account = key_read(key, name);
	quota_events(quotas, name, of_account ? name : "", reply);
	return (true);
}

void
charges_watch(struct quotas *quotas)
{
	writequeue_watch(quotas->writequeue, WRITEQUEUE_CHARGES, on_charged,
	    quotas);
}
