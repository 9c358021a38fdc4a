/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <string.h>

#include "acl.h"

bool
acl_null_sender(const char *sender)
{
	return (sender[0] == '\0');
}

/* smtpd splits at the last '@', and takes senders without one for its own. */
static enum reason
sender_domain(const char *sender, char name[DOMAIN_TEXT])
{
	const char *at = strrchr(sender, '@');

	if (at == NULL || at == sender || sender[0] == '@')
		return (REASON_SENDER);
	if (at[1] == '[')
		return (REASON_LITERAL);
	if (!domain_alabel(at + 1, strlen(at + 1), name))
		return (REASON_DOMAIN);
	return (REASON_NONE);
}

enum reason
acl_envelope(const struct conf *conf, const char *sender,
    struct domains *domains)
{
	char	    name[DOMAIN_TEXT];
	enum reason reason;

	if (!(conf->enforce & ENFORCE_ENVELOPE) || acl_null_sender(sender))
		return (REASON_NONE);
	reason = sender_domain(sender, name);
	if (reason == REASON_NONE && !domains_add(domains, name))
		return (REASON_DOMAIN);
	return (reason);
}

enum reason
acl_header(const struct conf *conf, const char *sender,
    const struct header *header, struct domains *domains)
{
	if (!(conf->enforce & ENFORCE_HEADER) && !acl_null_sender(sender))
		return (REASON_NONE);
	return (header_domains(header, domains));
}

static enum reason
judge_domain(const struct user *user, size_t i)
{
	bool assigned = user->assigned >> i & 1;
	bool in_account = user->in_account >> i & 1;

	if (assigned)
		return (REASON_NONE);
	if (user->mode == MODE_DEFAULT)
		return (REASON_NOT_ASSIGNED);
	if (in_account)
		return (REASON_NONE);
	if (user->mode == MODE_ALL)
		return (REASON_NOT_IN_ACCOUNT);
	return (user->pro ? REASON_SPF : REASON_PLAN);
}

static enum reason
judge_spf(const struct spf_answer *answer)
{
	switch (answer->verdict) {
	case SPF_VERDICT_OK:
		return (REASON_NONE);
	case SPF_VERDICT_NONE:
		return (REASON_SPF_NONE);
	case SPF_VERDICT_SEVERAL:
		return (REASON_SPF_SEVERAL);
	case SPF_VERDICT_SYNTAX:
		return (REASON_SPF_SYNTAX);
	case SPF_VERDICT_NOT_INCLUDED:
		return (REASON_SPF_INCLUDE);
	case SPF_VERDICT_NOT_PASS:
		return (REASON_SPF_FAIL);
	case SPF_VERDICT_UNKNOWN:
		break;
	}
	return (REASON_SPF);
}

struct verdict
acl_domains(const struct conf *conf, const struct user *user,
    const struct domains *domains, acl_spf known, void *arg)
{
	const struct spf_answer *answer;
	struct verdict		 v = { REASON_NONE, NULL, NULL };
	size_t			 i;

	for (i = 0; i < domains->n; i++) {
		v.reason = judge_domain(user, i);
		if (v.reason == REASON_SPF && conf->spf == SPF_OFF)
			v.reason = REASON_NONE;
		if (v.reason == REASON_SPF &&
		    (answer = known(arg, domains->name[i])) != NULL) {
			v.reason = judge_spf(answer);
			v.record = answer->record;
		}
		if (v.reason != REASON_NONE) {
			v.domain = domains->name[i];
			return (v);
		}
		v.record = NULL;
	}
	return (v);
}

enum standing
acl_standing(enum user_found found, const struct user *user,
    const struct netaddr *source, bool trusted)
{
	if (found == USER_NONE)
		return (STANDING_NOBODY);
	if (found != USER_OK || user == NULL)
		return (STANDING_UNKNOWN);
	if (!user_active(user))
		return (STANDING_NOBODY);
	if (!trusted && !user_allows_source(user, source))
		return (STANDING_SOURCE);
	return (STANDING_USER);
}
