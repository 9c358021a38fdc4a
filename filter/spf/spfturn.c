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

#include "spfturn.h"
#include "user.h"

struct entry {
	struct spfturn turn; /* first: a turn is its entry */
	UT_hash_handle hh;
	size_t	       refs;
	char	       user[USER_NAME_MAX + 1];
};

struct spfturns {
	struct entry *byuser;
	uint64_t      served;
};

struct spfturns *
spfturns_new(void)
{
	return (calloc(1, sizeof(struct spfturns)));
}

void
spfturns_free(struct spfturns *turns)
{
	free(turns);
}

static struct entry *
add_entry(struct spfturns *turns, const char *user)
{
	struct entry *e;

	if ((e = calloc(1, sizeof(*e))) == NULL)
		return (NULL);
	strlcpy(e->user, user, sizeof(e->user));
	HASH_ADD_KEYPTR(hh, turns->byuser, e->user, strlen(e->user), e);
	if (e->hh.tbl != NULL)
		return (e);
	free(e);
	return (NULL);
}

struct spfturn *
spfturn_join(struct spfturns *turns, const char *user)
{
	struct entry *e;

	HASH_FIND(hh, turns->byuser, user, strlen(user), e);
	if (e == NULL && (e = add_entry(turns, user)) == NULL)
		return (NULL);
	e->refs++;
	return (&e->turn);
}

void
spfturn_leave(struct spfturns *turns, struct spfturn *turn)
{
	struct entry *e = (struct entry *)turn;

	if (--e->refs > 0)
		return;
	/* The analyser loses track of what HASH_DEL() makes the head. */
	HASH_DEL(turns->byuser, e); /* NOLINT(clang-analyzer-unix.Malloc) */
	free(e);
}

void
spfturn_serve(struct spfturns *turns, struct spfturn *turn)
{
	struct entry *e = (struct entry *)turn;

	e->refs++;
	turn->working++;
	turn->served = ++turns->served;
}

void
spfturn_done(struct spfturns *turns, struct spfturn *turn)
{
	turn->working--;
	spfturn_leave(turns, turn);
}
