/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "owners.h"
#include "shares.h"
#include "user.h"

#define ALLOCATED (2 * sizeof(void *)) /* by malloc, beside what is asked for */

struct owner {
	struct shares_item item; /* the first: of its user's share */
	UT_hash_handle	   hh;
	uint32_t	   msgid;
	size_t		   recipients; /* of which nothing is known */
	struct alarm_limit limit;
};

struct owners {
	struct owner  *byid;
	struct shares *shares;
	char	       user[USER_NAME_MAX + 1]; /* that was last asked for */
};

struct owners *
owners_new(void)
{
	struct owners *all;

	if ((all = calloc(1, sizeof(*all))) == NULL)
		return (NULL);
	if ((all->shares = shares_new()) != NULL)
		return (all);
	free(all);
	return (NULL);
}

static void
forget_owner(struct owners *all, struct owner *owner)
{
	/* The analyser loses track of what HASH_DEL() makes the head. */
	HASH_DEL(all->byid, owner); /* NOLINT(clang-analyzer-*) */
	shares_remove(all->shares, &owner->item);
	free(owner);
}

void
owners_free(struct owners *all)
{
	struct owner *owner, *next;

	if (all == NULL)
		return;
	HASH_ITER(hh, all->byid, owner, next)
	forget_owner(all, owner);
	shares_free(all->shares);
	free(all);
}

static struct owner *
find_owner(const struct owners *all, uint32_t msgid)
{
	struct owner *owner;

	HASH_FIND(hh, all->byid, &msgid, sizeof(msgid), owner);
	return (owner);
}

static void
make_room(struct owners *all)
{
	while (shares_bytes(all->shares) > OWNERS_MAX)
		forget_owner(all, (struct owner *)shares_surplus(all->shares));
}

void
owners_add(struct owners *all, uint32_t msgid, const char *user,
    size_t recipients, const struct alarm_limit *limit)
{
	struct owner *owner = find_owner(all, msgid);

	if (owner != NULL)
		forget_owner(all, owner);
	if ((owner = calloc(1, sizeof(*owner))) == NULL)
		return;
	owner->msgid = msgid;
	owner->recipients = recipients;
	owner->limit = *limit;
	HASH_ADD(hh, all->byid, msgid, sizeof(owner->msgid), owner);
	if (owner->hh.tbl == NULL) {
		free(owner);
		return;
	}
	if (shares_add(all->shares, user, &owner->item,
		sizeof(*owner) + ALLOCATED)) {
		make_room(all);
		return;
	}
	HASH_DEL(all->byid, owner); /* NOLINT(clang-analyzer-*) */
	free(owner);
}

const char *
owners_settle(struct owners *all, uint32_t msgid, size_t recipients,
    struct alarm_limit *limit)
{
	struct owner *owner = find_owner(all, msgid);

	if (owner == NULL)
		return (NULL);
	strlcpy(all->user, shares_user(&owner->item), sizeof(all->user));
	*limit = owner->limit;
	if (recipients >= owner->recipients)
		forget_owner(all, owner);
	else
		owner->recipients -= recipients;
	return (all->user);
}
