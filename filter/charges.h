/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef CHARGES_H
#define CHARGES_H

struct quotas;

/*
 * Handles the replies to charges that the write queue sends, for which no
 * session waits: writes the events in them, logs counters that cannot be read,
 * and repeats charges that an older library has answered, since it may not have
 * counted them.  The quotas and their queue must outlive this.
 */
void charges_watch(struct quotas *);

#endif /* CHARGES_H */
