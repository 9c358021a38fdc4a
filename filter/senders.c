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
		return (REASON_SENDER_INVALID);
	if (at[1] == '[')
		return (REASON_ADDRESS_LITERAL);
	if (!domain_alabel(at + 1, strlen(at + 1), name))
		return (REASON_DOMAIN_INVALID);
	domains_add(domains, name, sender, (size_t)(at - sender));
	return (REASON_NONE);
}

void
senders_of_envelope(struct senders *senders, const struct conf *conf,
    const char *sender)
{
	senders->reason = REASON_NONE;
	domains_clear(&senders->domains);
	senders->counted = 0;
	if (!(conf->enforce & ENFORCE_ENVELOPE) || senders_null(sender))
		return;
	senders->reason = read_address(sender, &senders->domains);
	if (!(conf->enforce & ENFORCE_HEADER))
		senders->counted = 1;
}

static void
read_header(struct senders *senders, const struct header *header)
{
	struct domains authors;
	size_t	       i, k;

	domains_clear(&authors);
	senders->reason = header_domains(header, &senders->domains);
	if (senders->reason != REASON_NONE ||
	    header_domains(header, &authors) != REASON_NONE)
		return;
	for (i = 0; i < senders->domains.n; i++)
		for (k = 0; k < authors.n; k++)
			if (strcmp(senders->domains.name[i], authors.name[k]) ==
			    0)
				senders->counted |= 1U << i;
}

void
senders_of_message(struct senders *senders, const struct conf *conf,
    const char *sender, const struct header *header)
{
	senders_of_envelope(senders, conf, sender);
	if (senders->reason != REASON_NONE)
		return;
	if ((conf->enforce & ENFORCE_HEADER) || senders_null(sender))
		read_header(senders, header);
}
