/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stdio.h>

#include "usercommand.h"

bool
part_of_account(enum part_kind kind)
{
	return (kind == PART_ACCOUNT || kind == PART_ACCOUNT_DOMAINS ||
	    kind == PART_ACCOUNT_SUPPRESSED || kind == PART_ACCOUNT_SIZE);
}

const char *
usertarget_key(const struct usertarget *t, enum part_kind kind,
    char key[KEY_TEXT])
{
	static const char *const sets[NPARTS] = { [PART_DOMAINS] = "domains",
		[PART_ADDRESSES] = "domains",
		[PART_LIST] = "ips",
		[PART_LENGTH] = "ips",
		[PART_PREFIXES] = "ips",
		[PART_LIST_SIZE] = "ips",
		[PART_ACCOUNT_DOMAINS] = "domains",
		[PART_SUPPRESSED] = "suppressed",
		[PART_ACCOUNT_SUPPRESSED] = "suppressed" };
	const char		*set = sets[kind] != NULL ? sets[kind] : "";

	if (kind == PART_OWNER)
		return (key_address(key, t->prefix, t->question->address));
	if (part_of_account(kind))
		return (key_account(key, t->prefix, t->account, set));
	return (key_user(key, t->prefix, t->name, set));
}

static void
add(struct usercommand *c, const char *word)
{
	c->argv[c->argc++] = word;
}

static void
on_key(struct usercommand *c, const char *word)
{
	c->argc = 0;
	add(c, word);
	add(c, c->key);
}

static void
get_fields(struct usercommand *c, const char *const *fields, size_t n)
{
	size_t i;

	on_key(c, "HMGET");
	for (i = 0; i < n; i++)
		add(c, fields[i]);
}

static void
get_record(struct usercommand *c, enum user_scope scope)
{
	const char *fields[USER_FIELDS] = { NULL };
	size_t	    n = user_scope_fields(scope, fields);

	get_fields(c, fields, n);
}

static void
get_account(struct usercommand *c, enum user_scope scope)
{
	size_t		   n;
	const char *const *fields = user_account_fields(scope, &n);

	get_fields(c, fields, n);
}

static void
look_up_domains(struct usercommand *c, const struct domains *domains)
{
	size_t i;

	on_key(c, "SMISMEMBER");
	for (i = 0; i < domains->n; i++)
		add(c, domains->name[i]);
}

static void
look_up_addresses(struct usercommand *c, const struct domains *domains)
{
	size_t i;

	look_up_domains(c, domains);
	for (i = 0; i < domains->naddresses; i++)
		add(c, domains->address[i].text);
}

/* As many as a list may have and still be looked through in a moment. */
static void
scan_addresses(struct usercommand *c, const char *domain)
{
	snprintf(c->pattern, sizeof(c->pattern), "*@%s", domain);
	on_key(c, "SSCAN");
	add(c, "0");
	add(c, "MATCH");
	add(c, c->pattern);
	add(c, "COUNT");
	add(c, "1000");
}

/*
 * The whole set, as SMEMBERS would give it, but one more than a short list has
 * at most: then it is a long one.
 */
static void
get_short_list(struct usercommand *c)
{
	snprintf(c->number, sizeof(c->number), "%d", USER_SHORT_LIST + 1);
	on_key(c, "SRANDMEMBER");
	add(c, c->number);
}

/* Whether any prefix of the source is in the list, however long that is. */
static void
look_up_prefixes(struct usercommand *c, const struct netaddr *source)
{
	struct netaddr na = *source;
	size_t	       i;

	on_key(c, "SMISMEMBER");
	for (i = 0;; i++) {
		add(c, netaddr_text(&na, c->prefix[i]));
		if (na.bits == 0)
			break;
		netaddr_widen(&na, na.bits - 1);
	}
}

static void
get_size(struct usercommand *c)
{
	c->argc = 0;
	add(c, "MEMORY");
	add(c, "USAGE");
	add(c, c->key);
	add(c, "SAMPLES");
	add(c, "100");
}

void
usercommand_make(struct usercommand *c, const struct usertarget *t,
    enum part_kind kind)
{
	usertarget_key(t, kind, c->key);
	switch (kind) {
	case PART_OWNER:
		on_key(c, "GET");
		break;
	case PART_RECORD:
		get_record(c, t->scope);
		break;
	case PART_DOMAINS:
		look_up_addresses(c, t->question->domains);
		break;
	case PART_ADDRESSES:
		scan_addresses(c, t->question->addresses);
		break;
	case PART_LIST:
		get_short_list(c);
		break;
	case PART_LENGTH:
		on_key(c, "SCARD");
		break;
	case PART_PREFIXES:
		look_up_prefixes(c, t->question->source);
		break;
	case PART_ACCOUNT:
		get_account(c, t->scope);
		break;
	case PART_ACCOUNT_DOMAINS:
		look_up_domains(c, t->question->domains);
		break;
	case PART_SUPPRESSED:
	case PART_ACCOUNT_SUPPRESSED:
		on_key(c, "ZCARD");
		break;
	default:
		get_size(c);
	}
}
