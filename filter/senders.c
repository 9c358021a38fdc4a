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
	senders->of_envelope = false;
	senders->counted = 0;
	if (!(conf->enforce & ENFORCE_ENVELOPE) || senders_null(sender))
		return;
	senders->reason = read_address(sender, &senders->domains);
	senders->of_envelope = senders->reason == REASON_NONE;
	if (!(conf->enforce & ENFORCE_HEADER))
		senders->counted = 1;
}

/* Adds a domain of the authors, and its addresses.  False without room. */
static bool
take_author(struct domains *domains, const struct domains *authors, size_t i)
{
	const char *name = authors->name[i], *text;
	size_t	    k;

	if ((authors->unnamed >> i & 1) && !domains_add(domains, name, NULL, 0))
		return (false);
	for (k = 0; k < authors->naddresses; k++) {
		text = authors->address[k].text;
		if (authors->address[k].domain == i &&
		    !domains_add(domains, name, text,
			(size_t)(strrchr(text, '@') - text)))
			return (false);
	}
	return (true);
}

/* A bit for the domain. */
static uint32_t
bit_of(const struct domains *domains, const char *name)
{
	size_t i;

	for (i = 0; i < domains->n; i++)
		if (strcmp(domains->name[i], name) == 0)
			return (1U << i);
	return (0);
}

static void
read_header(struct senders *senders, const struct header *header)
{
	struct domains authors;
	size_t	       i;

	domains_clear(&authors);
	senders->reason = header_domains(header, &authors);
	for (i = 0; senders->reason == REASON_NONE && i < authors.n; i++) {
		if (!take_author(&senders->domains, &authors, i))
			senders->reason = REASON_FROM_AMBIGUOUS;
		senders->counted |= bit_of(&senders->domains, authors.name[i]);
	}
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
