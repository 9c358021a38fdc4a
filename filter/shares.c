/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "shares.h"
#include "user.h"

#define LEVELS (8 * sizeof(size_t) + 1)

struct share {
	UT_hash_handle hh;
	TAILQ_ENTRY(share) entry;	 /* of its level */
	TAILQ_HEAD(, shares_item) items; /* the oldest first */
	size_t bytes;
	char   user[USER_NAME_MAX + 1];
};

/* Users by how many bits the number of their bytes has: to move is cheap. */
struct shares {
	struct share *byuser;
	size_t	      bytes;
	TAILQ_HEAD(, share) levels[LEVELS];
};

struct shares *
shares_new(void)
{
	struct shares *s;
	size_t	       i;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return (NULL);
	for (i = 0; i < LEVELS; i++)
		TAILQ_INIT(&s->levels[i]);
	return (s);
}

void
shares_free(struct shares *s)
{
	free(s);
}

size_t
shares_bytes(const struct shares *s)
{
	return (s->bytes);
}

static size_t
level_of(size_t bytes)
{
	size_t level = 0;

	for (; bytes != 0; bytes >>= 1)
		level++;
	return (level);
}

/* What it holds changes, and perhaps its level. */
static void
hold(struct shares *s, struct share *share, size_t bytes)
{
	size_t before = level_of(share->bytes), after = level_of(bytes);

	s->bytes += bytes - share->bytes;
	share->bytes = bytes;
	if (before == after)
		return;
	TAILQ_REMOVE(&s->levels[before], share, entry);
	TAILQ_INSERT_TAIL(&s->levels[after], share, entry);
}

static struct share *
add_share(struct shares *s, const char *user)
{
	struct share *share;

	if ((share = calloc(1, sizeof(*share))) == NULL)
		return (NULL);
	TAILQ_INIT(&share->items);
	strlcpy(share->user, user, sizeof(share->user));
	HASH_ADD_KEYPTR(hh, s->byuser, share->user, strlen(share->user), share);
	if (share->hh.tbl == NULL) {
		free(share);
		return (NULL);
	}
	TAILQ_INSERT_TAIL(&s->levels[0], share, entry);
	return (share);
}

bool
shares_add(struct shares *s, const char *user, struct shares_item *item,
    size_t bytes)
{
	struct share *share;

	HASH_FIND(hh, s->byuser, user, strlen(user), share);
	if (share == NULL && (share = add_share(s, user)) == NULL)
		return (false);
	item->share = share;
	item->bytes = bytes;
	TAILQ_INSERT_TAIL(&share->items, item, next);
	hold(s, share, share->bytes + bytes);
	return (true);
}

const char *
shares_user(const struct shares_item *item)
{
	return (item->share->user);
}

void
shares_remove(struct shares *s, struct shares_item *item)
{
	struct share *share = item->share;

	TAILQ_REMOVE(&share->items, item, next);
	hold(s, share, share->bytes - item->bytes);
	if (!TAILQ_EMPTY(&share->items))
		return;
	TAILQ_REMOVE(&s->levels[level_of(share->bytes)], share, entry);
	/* The analyser loses track of what HASH_DEL() makes the head. */
	HASH_DEL(s->byuser, share); /* NOLINT(clang-analyzer-*) */
	free(share);
}

struct shares_item *
shares_surplus(const struct shares *s)
{
	size_t i;

	for (i = LEVELS; i-- > 0;)
		if (!TAILQ_EMPTY(&s->levels[i]))
			return (TAILQ_FIRST(&TAILQ_FIRST(&s->levels[i])
				->items));
	return (NULL);
}
