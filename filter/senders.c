/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "conf.h"
#include "senders.h"

bool
senders_null(const char *sender)
{
	return (sender[0] == '\0');
}

/* smtpd splits at the last '@', and takes senders without one for its own. */
static enum reason
read_address(const char *sender, struct domains *domains)
{
	const char *at = strrchr(sender, '@');
	char	    name[DOMAIN_TEXT];

	if (at == NULL || at == sender || sender[0] == '@')
		return (REASON_SENDER);
	if (at[1] == '[')
		return (REASON_LITERAL);
	if (!domain_alabel(at + 1, strlen(at + 1), name))
		return (REASON_DOMAIN);
	domains_add(domains, name, sender, (size_t)(at - sender));
	return (REASON_NONE);
}

void
senders_of_envelope(struct senders *senders, const struct conf *conf,
    const char *sender)
{
	senders->reason = REASON_NONE;
	domains_clear(&senders->domains);
	if ((conf->enforce & ENFORCE_ENVELOPE) && !senders_null(sender))
		senders->reason = read_address(sender, &senders->domains);
}

void
senders_of_message(struct senders *senders, const struct conf *conf,
    const char *sender, const struct header *header)
{
	senders_of_envelope(senders, conf, sender);
	if (senders->reason != REASON_NONE)
		return;
	if ((conf->enforce & ENFORCE_HEADER) || senders_null(sender))
		senders->reason = header_domains(header, &senders->domains);
}
