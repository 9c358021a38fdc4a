/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <bsd/string.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "guess.h"

#define PLACES 4096

struct owner {
	struct netaddr address; /* len 0: none */
	char	       name[USER_NAME_MAX + 1];
};

struct guesses {
	uint32_t     seed; /* who fills places cannot choose whose */
	struct guess users[PLACES];
	struct owner owners[PLACES];
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
place(const struct guesses *g, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t       hash = g->seed ^ 2166136261U;

	while (len-- > 0)
		hash = (hash ^ *p++) * 16777619U;
	return ((hash ^ hash >> 16) % PLACES);
}

const struct guess *
guess_user(const struct guesses *g, const char *name)
{
	const struct guess *at = &g->users[place(g, name, strlen(name))];

	return (strcmp(at->name, name) == 0 ? at : NULL);
}

void
guess_learn_user(struct guesses *g, const struct guess *guess)
{
	g->users[place(g, guess->name, strlen(guess->name))] = *guess;
}

static size_t
owner_place(const struct guesses *g, const struct netaddr *na)
{
	return (place(g, na->addr, na->len));
}

const char *
guess_address(const struct guesses *g, const struct netaddr *na)
{
	const struct owner *at = &g->owners[owner_place(g, na)];

	if (na->len == 0 || !netaddr_equal(&at->address, na))
		return (NULL);
	return (at->name);
}

void
guess_learn_address(struct guesses *g, const struct netaddr *na,
    const char *name)
{
	struct owner *at = &g->owners[owner_place(g, na)];

	if (name != NULL) {
		at->address = *na;
		strlcpy(at->name, name, sizeof(at->name));
	} else if (netaddr_equal(&at->address, na))
		memset(at, 0, sizeof(*at));
}
