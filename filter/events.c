/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/stdlib.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "conf.h"
#include "events.h"
#include "key.h"
#include "quota.h"
#include "tally.h"
#include "writequeue.h"

#define HEAD 6	 /* words before the fields */
#define FIELDS 5 /* of every event */

struct words {
	int	    n;
	const char *v[HEAD + 2 * (FIELDS + EVENTS_FIGURES)];
};

static void
add_field(struct words *words, const char *name, const char *value)
{
	if (value == NULL || value[0] == '\0')
		return;
	words->v[words->n++] = name;
	words->v[words->n++] = value;
}

/* Whose share of the write queue it is: an event of nobody has one too. */
static const char *
share_of(const char *user, const char *account)
{
	if (user != NULL && user[0] != '\0')
		return (user);
	return (account != NULL ? account : "");
}

void
events_add(struct writequeue *writequeue, const struct conf *conf,
    const char *kind, const char *user, const char *account, size_t n,
    const struct events_figure *figures)
{
	char	       key[KEY_TEXT], max[16], id[17];
	struct words   words = { .n = HEAD,
		  .v = { "XADD", key, "MAXLEN", "~", max, "*" } };
	struct command command = { 0, 1, words.v };
	uint64_t       random;
	size_t	       i;

	if (strncmp(kind, "alarm.", 6) == 0)
		tally_add(TALLY_ALARMS, 1);
	else if (strcmp(kind, "limit.reached") == 0)
		tally_add(TALLY_LIMITS_REACHED, 1);
	key_events(key, conf->prefix);
	snprintf(max, sizeof(max), "%d", EVENTS_MAX);
	arc4random_buf(&random, sizeof(random));
	snprintf(id, sizeof(id), "%016" PRIx64, random);
	add_field(&words, "id", id);
	add_field(&words, "kind", kind);
	add_field(&words, "user", user);
	add_field(&words, "account", account);
	add_field(&words, "relay", conf->relay_name);
	for (i = 0; i < n && i < EVENTS_FIGURES; i++)
		add_field(&words, figures[i].name, figures[i].value);
	command.argc = words.n;
	writequeue_add(writequeue, WRITEQUEUE_EVENTS, share_of(user, account),
	    1, &command);
}

void
events_tell(struct writequeue *writequeue, const struct conf *conf,
    const char *user, const char *account, const struct quota_words *words)
{
	struct events_figure figures[EVENTS_FIGURES];
	size_t		     n = 0, i;

	if (account[0] != '\0')
		user = "";
	for (i = 1; i + 1 < words->n && n < EVENTS_FIGURES; i += 2) {
		if (strcmp(words->word[i], "account") != 0) {
			figures[n].name = words->word[i];
			figures[n++].value = words->word[i + 1];
		} else if (account[0] == '\0')
			account = words->word[i + 1];
	}
	events_add(writequeue, conf, words->word[0], user, account, n, figures);
}
