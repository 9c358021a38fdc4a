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
	enum reason    reason; /* why it cannot be let through, or none */
	struct domains domains;
	/* Bit by bit: of these the limits of each sender domain are charged. */
	uint32_t counted;
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
 * What readers see is what counts: the From header, where it is judged; the
 * envelope sender where that is all there is.  How a message will count is not
 * known before, so that MAIL FROM may ask about the latter alone.
 */

/*
 * Reads the From header besides, where enforce asks for it or the envelope
 * sender is null: then there is nothing else to judge by.
 */
void senders_of_message(struct senders *, const struct conf *,
    const char *sender, const struct header *);

#endif /* SENDERS_H */
