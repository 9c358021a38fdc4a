/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SENDERS_H
#define SENDERS_H

#include <stdbool.h>
#include <stdint.h>

#include "domain.h"
#include "header.h"
#include "reason.h"

struct conf;

/* The domains, and addresses, that a message says it is from. */
struct senders {
	enum reason    reason; /* why it must be refused, or REASON_NONE */
	struct domains domains;
	bool	       of_envelope; /* the first domain is the envelope's */
	/* A bit for each domain: its sender_quota and _rate are charged. */
	uint32_t counted;
};

/* Whether an envelope sender is the null one, "". */
bool senders_null(const char *sender);

/*
 * Reads the envelope sender, which smtpd writes without angle brackets, if
 * enforce has it.  The null sender has no domain.
 */
void
senders_of_envelope(struct senders *, const struct conf *, const char *sender);

/*
 * Sender limits count for the domains that readers see: those of the From
 * header, or that of the envelope sender if enforce has only this one.  Only in
 * that case does MAIL FROM know them.
 */

/*
 * Reads the From header too, if enforce has it or the envelope sender is null:
 * then there is nothing else to judge by.
 */
void senders_of_message(struct senders *, const struct conf *,
    const char *sender, const struct header *);

#endif /* SENDERS_H */
