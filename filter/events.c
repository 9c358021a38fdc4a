/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "conf.h"
#include "events.h"
#include "id.h"
#include "key.h"
#include "quota.h"
#include "tally.h"
#include "writequeue.h"
#include "xadd.h"

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
	char	       key[KEY_TEXT], id[ID_TEXT];
	struct xadd    entry;
	struct command command = { 0, 1, entry.v };
	size_t	       i;

	if (strncmp(kind, "alarm.", 6) == 0)
		tally_add(TALLY_ALARMS, 1);
	else if (strcmp(kind, "limit.reached") == 0)
		tally_add(TALLY_LIMITS_REACHED, 1);
	key_events(key, conf->prefix);
	xadd_begin(&entry, key, EVENTS_MAX);
	id_draw(id);
	xadd_field(&entry, "id", id);
	xadd_field(&entry, "kind", kind);
	xadd_field(&entry, "user", user);
	xadd_field(&entry, "account", account);
	xadd_field(&entry, "relay", conf->relay_name);
	for (i = 0; i < n && i < EVENTS_FIGURES; i++)
		xadd_field(&entry, figures[i].name, figures[i].value);
	command.argc = entry.n;
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
