/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "domain.h"
#include "key.h"
#include "servers.h"
#include "session.h"
#include "suppressed.h"

#define LISTS 2 /* the user's and the account's */

struct list {
	struct suppressed_query *query;
	struct servers_req	*req; /* NULL: not under way */
};

struct suppressed_query {
	suppressed_cb	       cb;
	void		      *arg;
	size_t		       nwords; /* asked about in each list */
	size_t		       nwaiting;
	enum suppressed_result result;
	struct list	       lists[LISTS];
};

void
suppressed_read(struct domains *domains, const char *recipient)
{
	const char *at = strrchr(recipient, '@'), *local = recipient, *colon;
	char	    name[DOMAIN_TEXT];
	size_t	    len;

	domains_clear(domains);
	if (at == NULL)
		return;
	len = (size_t)(at - recipient);
	if ((colon = memchr(local, ':', len)) != NULL) {
		local = colon + 1;
		len = (size_t)(at - local);
	}
	if (memchr(local, '"', len) != NULL ||
	    memchr(local, '\\', len) != NULL ||
	    !domain_alabel(at + 1, strlen(at + 1), name))
		return;
	domains_add(domains, name, local, len);
}

/*
 * Whether the score of a member says that mail is suppressed still.  What is
 * no time since 1970 has no end: 0, which somebody may write who knows of none.
 */
static bool
is_member(const redisReply *score, double now)
{
	double until;

	if (score->type != REDIS_REPLY_STRING)
		return (false);
	until = strtod(score->str, NULL);
	return (until <= 0 || !(until <= now));
}

static enum suppressed_result
read_scores(const struct suppressed_query *q, const redisReply *reply)
{
	double now = (double)time(NULL);
	size_t i;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY ||
	    reply->elements != q->nwords)
		return (SUPPRESSED_UNREAD);
	for (i = 0; i < reply->elements; i++)
		if (is_member(reply->element[i], now))
			return (SUPPRESSED_ALL);
	return (SUPPRESSED_NOT);
}

static void
on_scores(void *arg, const redisReply *reply)
{
	struct list		*list = arg;
	struct suppressed_query *q = list->query;
	enum suppressed_result	 result = read_scores(q, reply);

	list->req = NULL;
	/* What one of the two says for certain the other cannot change. */
	if (q->result != SUPPRESSED_ALL && result != SUPPRESSED_NOT)
		q->result = result;
	if (--q->nwaiting > 0)
		return;
	q->cb(q->arg, q->result);
	free(q);
}

static bool
ask_list(struct suppressed_query *q, struct servers *servers, const char *key,
    const struct domains *recipient)
{
	struct list *list = &q->lists[q->nwaiting];
	const char  *argv[] = { "ZMSCORE", key, recipient->name[0],
		 recipient->address[0].text };

	list->query = q;
	list->req = servers_send(servers, key, on_scores, list,
	    (int)q->nwords + 2, argv);
	if (list->req == NULL)
		return (false);
	q->nwaiting++;
	return (true);
}

struct suppressed_query *
suppressed_ask(struct servers *servers, const char *prefix, const struct tx *tx,
    const struct domains *recipient, suppressed_cb cb, void *arg)
{
	struct suppressed_query *q;
	char			 key[KEY_TEXT];
	bool			 asked = true;

	if ((q = calloc(1, sizeof(*q))) == NULL)
		return (NULL);
	q->cb = cb;
	q->arg = arg;
	q->nwords = 1 + recipient->naddresses;
	if (tx->suppresses)
		asked = ask_list(q, servers,
		    key_user(key, prefix, tx->user, "suppressed"), recipient);
	if (asked && tx->account_suppresses)
		asked = ask_list(q, servers,
		    key_account(key, prefix, tx->account, "suppressed"),
		    recipient);
	if (asked)
		return (q);
	suppressed_cancel(q);
	return (NULL);
}

void
suppressed_cancel(struct suppressed_query *q)
{
	size_t i;

	for (i = 0; i < LISTS; i++)
		if (q->lists[i].req != NULL)
			servers_cancel(q->lists[i].req);
	free(q);
}
