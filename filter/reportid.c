/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "reportid.h"
#include "user.h"

/* "NAME" of a user, "/NAME" of an account. */
#define KEY (USER_NAME_MAX + 2)

/* How much of a limit is used up. */
struct bucket {
	UT_hash_handle hh;
	time_t	       level;		    /* when the burst is whole again */
	char	       last[REPORT_ID + 1]; /* of a user; "": none */
	char	       key[KEY];
};

struct reportids {
	struct bucket *bykey; /* who was blocked last is the last */
};

static void
draw(char id[REPORT_ID + 1])
{
	size_t i;

	for (i = 0; i < REPORT_ID; i++)
		id[i] = (char)('0' + arc4random_uniform(10));
	id[i] = '\0';
}

static const char *
key_of_account(char key[KEY], const char *account)
{
	snprintf(key, KEY, "/%s", account);
	return (key);
}

static struct bucket *
find_bucket(struct reportids *ids, const char *key)
{
	struct bucket *b;

	HASH_FIND(hh, ids->bykey, key, strlen(key), b);
	return (b);
}

static void
take_out(struct reportids *ids, struct bucket *b)
{
	/* The analyser loses track of what HASH_DEL() makes the head. */
	HASH_DEL(ids->bykey, b); /* NOLINT(clang-analyzer-*) */
}

/* Puts it behind all others.  False, and it is gone: memory is short. */
static bool
append(struct reportids *ids, struct bucket *b)
{
	HASH_ADD_KEYPTR(hh, ids->bykey, b->key, strlen(b->key), b);
	if (b->hh.tbl != NULL)
		return (true);
	free(b);
	return (false);
}

static struct bucket *
make(struct reportids *ids, const char *key)
{
	struct bucket *b;

	if (HASH_COUNT(ids->bykey) >= REPORTID_NAMES) {
		b = ids->bykey;
		take_out(ids, b);
		free(b);
	}
	if ((b = calloc(1, sizeof(*b))) != NULL)
		strlcpy(b->key, key, sizeof(b->key));
	return (b);
}

/* The bucket, now the last; NULL when memory is short. */
static struct bucket *
touch(struct reportids *ids, const char *key, time_t now)
{
	struct bucket *b = find_bucket(ids, key);

	if (b != NULL)
		take_out(ids, b);
	else if ((b = make(ids, key)) == NULL)
		return (NULL);
	if (b->level < now)
		b->level = now;
	return (append(ids, b) ? b : NULL);
}

static bool
allows(const struct bucket *b, time_t now, time_t burst, time_t seconds)
{
	return (b == NULL || b->level - now <= (burst - 1) * seconds);
}

static void
charge(struct bucket *user, struct bucket *account, int sign)
{
	if (user != NULL)
		user->level += sign * REPORTID_SECONDS;
	if (account != NULL)
		account->level += sign * REPORTID_ACCOUNT_SECONDS;
}

struct reportids *
reportids_new(void)
{
	return (calloc(1, sizeof(struct reportids)));
}

void
reportids_free(struct reportids *ids)
{
	struct bucket *b, *next;

	if (ids == NULL)
		return;
	HASH_ITER(hh, ids->bykey, b, next)
	{
		take_out(ids, b);
		free(b);
	}
	free(ids);
}

bool
reportids_draw(struct reportids *ids, const char *user, const char *account,
    time_t now, char id[REPORT_ID + 1])
{
	struct bucket *u, *a = NULL;
	char	       key[KEY];

	draw(id);
	if (account[0] != '\0')
		a = touch(ids, key_of_account(key, account), now);
	u = touch(ids, user, now);
	if (u == NULL || u->last[0] == '\0' ||
	    (allows(u, now, REPORTID_BURST, REPORTID_SECONDS) &&
		allows(a, now, REPORTID_ACCOUNT_BURST,
		    REPORTID_ACCOUNT_SECONDS))) {
		charge(u, a, 1);
		return (true);
	}
	strlcpy(id, u->last, REPORT_ID + 1);
	return (false);
}

void
reportids_written(struct reportids *ids, const char *user, const char *id)
{
	struct bucket *u = find_bucket(ids, user);

	if (u != NULL)
		strlcpy(u->last, id, sizeof(u->last));
}

void
reportids_failed(struct reportids *ids, const char *user, const char *account)
{
	char key[KEY];

	charge(find_bucket(ids, user),
	    find_bucket(ids, key_of_account(key, account)), -1);
}
