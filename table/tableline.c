/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stdbool.h>
#include <string.h>

#include "tableline.h"

/* Cuts off the field in front of the next '|', or what is left. */
static char *
next_field(char **rest)
{
	char *field = *rest, *bar;

	if (field == NULL)
		return (NULL);
	if ((bar = strchr(field, '|')) == NULL) {
		*rest = NULL;
		return (field);
	}
	*bar = '\0';
	*rest = bar + 1;
	return (field);
}

static enum tableline_kind
find_kind(const char *name)
{
	if (strcmp(name, "lookup") == 0)
		return (TABLE_LOOKUP);
	if (strcmp(name, "check") == 0)
		return (TABLE_CHECK);
	if (strcmp(name, "fetch") == 0)
		return (TABLE_FETCH);
	if (strcmp(name, "update") == 0)
		return (TABLE_UPDATE);
	return (TABLE_UNKNOWN);
}

static enum tableline_service
find_service(const char *name)
{
	if (strcmp(name, "auth") == 0)
		return (SERVICE_AUTH);
	if (strcmp(name, "credentials") == 0)
		return (SERVICE_CREDENTIALS);
	if (strcmp(name, "netaddr") == 0)
		return (SERVICE_NETADDR);
	return (SERVICE_OTHER);
}

/* Ids are echoed, and smtpd ends over one that is not its own. */
static bool
valid_id(const char *id)
{
	size_t n = strspn(id, "0123456789abcdef");

	return (n > 0 && n < TABLELINE_ID && id[n] == '\0');
}

static const char *
parse_request(char *rest, struct tableline *tl)
{
	const char *service;

	next_field(&rest); /* version */
	next_field(&rest); /* time */
	next_field(&rest); /* the table's name */
	if ((tl->name = next_field(&rest)) == NULL)
		return ("too few fields");
	tl->kind = find_kind(tl->name);
	if (tl->kind != TABLE_UPDATE) {
		if ((service = next_field(&rest)) == NULL)
			return ("no service");
		tl->service = find_service(service);
	}
	if ((tl->id = next_field(&rest)) == NULL || !valid_id(tl->id))
		return ("bad id");
	if ((tl->kind == TABLE_CHECK || tl->kind == TABLE_LOOKUP) &&
	    rest == NULL)
		return ("no key");
	tl->key = rest != NULL ? rest : "";
	return (NULL);
}

const char *
tableline_parse(char *line, size_t len, struct tableline *tl)
{
	char *rest = line, *kind;

	memset(tl, 0, sizeof(*tl));
	tl->key = "";
	if (memchr(line, '\0', len) != NULL)
		return ("NUL");
	kind = next_field(&rest);
	if (strcmp(kind, "config") == 0 && rest != NULL) {
		tl->kind = TABLE_CONFIG;
		tl->name = next_field(&rest);
		if (rest != NULL)
			tl->key = rest;
		return (NULL);
	}
	if (strcmp(kind, "table") != 0)
		return ("unknown kind");
	return (parse_request(rest, tl));
}
