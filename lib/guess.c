/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <bsd/string.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "guess.h"

#define SETS 4096
#define WAYS 4 /* of a set, the last one learned first */

struct owner {
	struct netaddr address; /* len 0: none */
	char	       name[USER_NAME_MAX + 1];
};

struct guesses {
	uint32_t     seed; /* who fills places cannot choose whose */
	struct guess users[SETS][WAYS];
	struct owner owners[SETS][WAYS];
};

struct guesses *
guesses_new(void)
{
	struct guesses *g = calloc(1, sizeof(*g));

	if (g != NULL)
		g->seed = arc4random();
	return (g);
}

void
guesses_free(struct guesses *g)
{
	free(g);
}

/* FNV-1a */
static size_t
set_of(const struct guesses *g, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t       hash = g->seed ^ 2166136261U;

	while (len-- > 0)
		hash = (hash ^ *p++) * 16777619U;
	return ((hash ^ hash >> 16) % SETS);
}

/* Which of a set it is; the last one, which is to go, when none is. */
static size_t
way_of_user(const struct guess set[WAYS], const char *name)
{
	size_t i = 0;

	while (i < WAYS - 1 && strcmp(set[i].name, name) != 0)
		i++;
	return (i);
}

static size_t
way_of_address(const struct owner set[WAYS], const struct netaddr *na)
{
	size_t i = 0;

	while (i < WAYS - 1 && !netaddr_equal(&set[i].address, na))
		i++;
	return (i);
}

const struct guess *
guess_user(const struct guesses *g, const char *name)
{
	const struct guess *set = g->users[set_of(g, name, strlen(name))];
	const struct guess *at = &set[way_of_user(set, name)];

	return (strcmp(at->name, name) == 0 ? at : NULL);
}

void
guess_learn_user(struct guesses *g, const struct guess *guess)
{
	const char   *name = guess->name;
	struct guess *set = g->users[set_of(g, name, strlen(name))];

	memmove(set + 1, set, way_of_user(set, name) * sizeof(*set));
	set[0] = *guess;
}

const char *
guess_address(const struct guesses *g, const struct netaddr *na)
{
	const struct owner *set = g->owners[set_of(g, na->addr, na->len)];
	const struct owner *at = &set[way_of_address(set, na)];

	if (na->len == 0 || !netaddr_equal(&at->address, na))
		return (NULL);
	return (at->name);
}

void
guess_learn_address(struct guesses *g, const struct netaddr *na,
    const char *name)
{
	struct owner *set = g->owners[set_of(g, na->addr, na->len)];
	size_t	      i = way_of_address(set, na);

	if (name != NULL) {
		memmove(set + 1, set, i * sizeof(*set));
		set[0].address = *na;
		strlcpy(set[0].name, name, sizeof(set[0].name));
	} else if (netaddr_equal(&set[i].address, na))
		memset(&set[i], 0, sizeof(set[i]));
}
