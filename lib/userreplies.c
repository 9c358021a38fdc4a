/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <hiredis/hiredis.h>
#include <string.h>

#include "redisread.h"
#include "userreplies.h"

static bool
is_too_large(const redisReply *reply)
{
	return (strncmp(reply->str, REDIS_TOO_LARGE,
		    sizeof(REDIS_TOO_LARGE) - 1) == 0);
}

/*
 * A value of the wrong type or size is the record's fault, every other error is
 * Redis's, and logged with the connection.
 */
static const char *
usable(struct userreplies *r, const redisReply *reply)
{
	if (reply != NULL && reply->type != REDIS_REPLY_ERROR)
		return (NULL);
	if (reply != NULL && strncmp(reply->str, "WRONGTYPE", 9) == 0)
		return ("wrong type");
	if (reply != NULL && is_too_large(reply)) {
		r->too_large = true;
		return (USERREPLIES_TOO_LARGE);
	}
	r->unavailable = true;
	return (NULL);
}

/* SMISMEMBER's bits, in the order of what was asked about. */
static const char *
read_bits(const redisReply *reply, size_t n, uint32_t *bits)
{
	size_t i;

	*bits = 0;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != n)
		return ("not a set");
	for (i = 0; i < n; i++)
		if (reply->element[i]->type == REDIS_REPLY_INTEGER &&
		    reply->element[i]->integer == 1)
			*bits |= 1U << i;
	return (NULL);
}

/*
 * The domains of the user: those that are assigned, and those of which all
 * addresses are.
 */
static const char *
read_assigned(struct userreplies *r, const struct domains *domains,
    const redisReply *reply)
{
	const size_t n = domains->n;
	uint32_t     bits, lacking = domains->unnamed;
	const char  *bad;
	size_t	     i;

	bad = read_bits(reply, n + domains->naddresses, &bits);
	if (bad != NULL)
		return (bad);
	for (i = 0; i < domains->naddresses; i++)
		if ((bits >> (n + i) & 1) == 0)
			lacking |= 1U << domains->address[i].domain;
	r->user.assigned = (bits | ~lacking) & ((1U << n) - 1);
	return (NULL);
}

/* {cursor, members} */
static const char *
read_addresses(struct userreplies *r, const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[1]->type != REDIS_REPLY_ARRAY)
		return ("not a set");
	r->user.addresses = reply->element[1]->elements > 0;
	return (NULL);
}

static const char *
read_owner(struct userreplies *r, const redisReply *reply)
{
	if (reply->type == REDIS_REPLY_NIL ||
	    (reply->type == REDIS_REPLY_STRING && reply->len == 0))
		return (NULL);
	if (reply->type == REDIS_REPLY_STRING &&
	    strlen(reply->str) == reply->len &&
	    user_fold_name(reply->str, r->owner))
		return (NULL);
	return ("not the name of a user");
}

static const char *
read_length(struct userreplies *r, const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_INTEGER)
		return ("not a set");
	r->long_list = reply->integer > USER_SHORT_LIST;
	return (NULL);
}

static const char *
read_suppresses(const redisReply *reply, bool *suppresses)
{
	if (reply->type != REDIS_REPLY_INTEGER)
		return ("not a sorted set");
	*suppresses = reply->integer > 0;
	return (NULL);
}

static const char *
read_prefixes(struct userreplies *r, const struct netaddr *source,
    const redisReply *reply)
{
	size_t i;

	if (reply->type != REDIS_REPLY_ARRAY)
		return ("not a set");
	/* Of a source that is none, nothing but "" was asked about. */
	for (i = 0; i < reply->elements && source->len != 0; i++)
		if (reply->element[i]->type == REDIS_REPLY_INTEGER &&
		    reply->element[i]->integer == 1)
			r->in_prefixes = true;
	return (NULL);
}

static const char *
read_reply(struct userreplies *r, const struct users_question *ask,
    enum part_kind kind, const redisReply *reply)
{
	switch (kind) {
	case PART_OWNER:
		return (read_owner(r, reply));
	case PART_RECORD:
		return (user_parse(&r->user, &r->exists, reply, r->scope));
	case PART_DOMAINS:
		return (read_assigned(r, ask->domains, reply));
	case PART_ADDRESSES:
		return (read_addresses(r, reply));
	case PART_LIST:
		return (user_parse_list(&r->user, reply, ask->source));
	case PART_LENGTH:
		return (read_length(r, reply));
	case PART_PREFIXES:
		return (read_prefixes(r, ask->source, reply));
	case PART_ACCOUNT:
		return (account_parse(&r->account, reply, r->scope));
	case PART_ACCOUNT_DOMAINS:
		return (read_bits(reply, ask->domains->n, &r->account.domains));
	case PART_SUPPRESSED:
		return (read_suppresses(reply, &r->user.suppresses));
	case PART_ACCOUNT_SUPPRESSED:
		return (read_suppresses(reply, &r->account.suppresses));
	default:
		break;
	}
	return (NULL);
}

/* Who may not ask for the size of a value has no choice but to read it. */
static const char *
read_size(struct userreplies *r, enum part_kind kind, const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_INTEGER ||
	    reply->integer <= REDISREAD_MAX)
		return (NULL);
	if (kind != PART_LIST_SIZE)
		return (USERREPLIES_TOO_LARGE);
	r->list_is_large = true;
	return (NULL);
}

void
userreplies_take(struct userreplies *r, enum part_kind kind,
    const struct users_question *ask, const redisReply *reply)
{
	struct fault *first = part_of_account(kind) ? &r->bad_account : &r->bad;
	const char   *bad;

	if (kind >= PART_RECORD_SIZE && reply != NULL)
		bad = read_size(r, kind, reply);
	else if ((bad = usable(r, reply)) == NULL && !r->unavailable)
		bad = read_reply(r, ask, kind, reply);
	/* What is wrong with the address's key comes before all else. */
	if (bad != NULL && (first->what == NULL || kind == PART_OWNER))
		*first = (struct fault){ bad, kind };
}
