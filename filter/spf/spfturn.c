/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "spfturn.h"
#include "user.h"

/* "ACCOUNT/USER", or "ACCOUNT/" for all of its users. */
#define NAME_TEXT (2 * USER_NAME_MAX + 2)

struct entry {
	struct spfturn turn; /* first: a turn is its entry */
	UT_hash_handle hh;
	char	       name[NAME_TEXT];
};

struct spfturns {
	struct entry *byname;
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
add_entry(struct spfturns *turns, const char *name)
{
	struct entry *e;

	if ((e = calloc(1, sizeof(*e))) == NULL)
		return (NULL);
	strlcpy(e->name, name, sizeof(e->name));
	HASH_ADD_KEYPTR(hh, turns->byname, e->name, strlen(e->name), e);
	if (e->hh.tbl != NULL)
		return (e);
	free(e);
	return (NULL);
}

static struct entry *
entry_of(struct spfturns *turns, const char *account, const char *user)
{
	struct entry *e;
	char	      name[NAME_TEXT];

	snprintf(name, sizeof(name), "%s/%s", account, user);
	HASH_FIND(hh, turns->byname, name, strlen(name), e);
	return (e != NULL ? e : add_entry(turns, name));
}

static void
drop_unused(struct spfturns *turns, struct spfturn *turn)
{
	struct entry *e = (struct entry *)turn;

	if (turn->questions > 0 || turn->working > 0)
		return;
	/* The analyser loses track of what HASH_DEL() makes the head. */
	HASH_DEL(turns->byname, e); /* NOLINT(clang-analyzer-*) */
	free(e);
}

/* The group counts what its users do. */
static void
drop_unused_both(struct spfturns *turns, struct spfturn *turn)
{
	struct spfturn *group = turn->group;

	if (group != turn)
		drop_unused(turns, group);
	drop_unused(turns, turn);
}

static void
add_counts(struct spfturn *turn, size_t questions, size_t working)
{
	turn->questions += questions;
	turn->working += working;
	if (turn->group == turn)
		return;
	turn->group->questions += questions;
	turn->group->working += working;
}

struct spfturn *
spfturn_join(struct spfturns *turns, const char *user, const char *account)
{
	struct entry *e, *group;

	if ((e = entry_of(turns, account, user)) == NULL)
		return (NULL);
	group = account[0] != '\0' ? entry_of(turns, account, "") : e;
	if (group == NULL) {
		drop_unused(turns, &e->turn);
		return (NULL);
	}
	group->turn.group = &group->turn;
	e->turn.group = &group->turn;
	add_counts(&e->turn, 1, 0);
	return (&e->turn);
}

void
spfturn_leave(struct spfturns *turns, struct spfturn *turn)
{
	add_counts(turn, (size_t)-1, 0);
	drop_unused_both(turns, turn);
}

void
spfturn_serve(struct spfturns *turns, struct spfturn *turn)
{
	add_counts(turn, 0, 1);
	turn->group->served = turn->served = ++turns->served;
}

void
spfturn_done(struct spfturns *turns, struct spfturn *turn)
{
	add_counts(turn, 0, (size_t)-1);
	drop_unused_both(turns, turn);
}

bool
spfturn_may_work(const struct spfturn *turn, size_t nworkers)
{
	const struct spfturn *group = turn->group;
	const size_t	      left = nworkers - group->working;

	if (group->working == 0)
		return (true);
	if (group == turn || turn->working == 0)
		return (left > 1);
	return (left > 2);
}

bool
spfturn_before(const struct spfturn *a, const struct spfturn *b)
{
	if (a->group->served != b->group->served)
		return (a->group->served < b->group->served);
	return (a->served < b->served);
}
