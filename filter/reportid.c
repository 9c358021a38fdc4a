/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "reportid.h"
#include "user.h"

struct blocked {
	UT_hash_handle hh;
	time_t	       level; /* when the burst is whole again */
	char	       last[REPORT_ID + 1];
	char	       user[USER_NAME_MAX + 1];
};

struct reportids {
	struct blocked *byuser; /* who was blocked last is the last */
};

static void
draw(char id[REPORT_ID + 1])
{
	size_t i;

	for (i = 0; i < REPORT_ID; i++)
		id[i] = (char)('0' + arc4random_uniform(10));
	id[i] = '\0';
}

static void
add(struct reportids *ids, struct blocked *b)
{
	HASH_ADD_KEYPTR(hh, ids->byuser, b->user, strlen(b->user), b);
	if (b->hh.tbl == NULL)
		free(b);
}

static void
forget(struct reportids *ids, struct blocked *b)
{
	/* The analyser loses track of what HASH_DEL() makes the head. */
	HASH_DEL(ids->byuser, b); /* NOLINT(clang-analyzer-unix.Malloc) */
}

static struct blocked *
take(struct reportids *ids, const char *user, time_t now)
{
	struct blocked *b;

	HASH_FIND(hh, ids->byuser, user, strlen(user), b);
	if (b != NULL) {
		forget(ids, b);
		return (b);
	}
	if (HASH_COUNT(ids->byuser) >= REPORTID_USERS) {
		b = ids->byuser;
		forget(ids, b);
		free(b);
	}
	if ((b = calloc(1, sizeof(*b))) == NULL)
		return (NULL);
	strlcpy(b->user, user, sizeof(b->user));
	b->level = now;
	return (b);
}

struct reportids *
reportids_new(void)
{
	return (calloc(1, sizeof(struct reportids)));
}

void
reportids_free(struct reportids *ids)
{
	struct blocked *b, *next;

	if (ids == NULL)
		return;
	HASH_ITER(hh, ids->byuser, b, next)
	{
		forget(ids, b);
		free(b);
	}
	free(ids);
}

bool
reportids_draw(struct reportids *ids, const char *user, time_t now,
    char id[REPORT_ID + 1])
{
	struct blocked *b;
	bool		room = true;

	draw(id);
	if ((b = take(ids, user, now)) == NULL)
		return (true);
	if (b->level < now)
		b->level = now;
	if (b->last[0] != '\0' &&
	    b->level - now > (REPORTID_BURST - 1) * REPORTID_SECONDS)
		room = false;
	if (room) {
		b->level += REPORTID_SECONDS;
		strlcpy(b->last, id, sizeof(b->last));
	} else
		strlcpy(id, b->last, REPORT_ID + 1);
	add(ids, b);
	return (room);
}
