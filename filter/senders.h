/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SENDERS_H
#define SENDERS_H

#include <stdbool.h>

#include "domain.h"
#include "header.h"
#include "reason.h"

struct conf;

/* The domains, and addresses, that a message says it is from. */
struct senders {
	enum reason    reason; /* why it cannot be let through, or none */
	struct domains domains;
};

/* Whether an envelope sender is the null one, "". */
bool senders_null(const char *sender);

/*
 * Reads the envelope sender, as smtpd writes it without its angle brackets,
 * where enforce asks for it.  The null sender has no domain.
 */
void
senders_of_envelope(struct senders *, const struct conf *, const char *sender);

/*
 * Reads the From header besides, where enforce asks for it or the envelope
 * sender is null: then there is nothing else to judge by.
 */
void senders_of_message(struct senders *, const struct conf *,
    const char *sender, const struct header *);

#endif /* SENDERS_H */
