/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPF_H
#define SPF_H

#include "spfwire.h"

struct event_base;
struct spf;
struct spf_query;
struct spfworkers;

/*
 * Finds out whether a domain publishes SPF (RFC 7208) as the configuration
 * requires.  libspf2 blocks while it asks the DNS, and reads what strangers
 * have put there, so it runs in worker processes.  This sends them questions,
 * and remembers their answers.
 */

/* The answer is valid only during the call. */
typedef void (*spf_cb)(void *, const struct spf_answer *);

/*
 * Starts the workers, and again when they end.  Holds the configuration.  The
 * spfworkers must outlive it.  NULL when out of memory or if the configuration
 * is invalid.
 */
struct spf *
spf_new(struct event_base *, const struct conf *, struct spfworkers *);

/*
 * Uses another configuration from now on, which it holds, and forgets all
 * answers.  A busy worker is replaced when it has answered.  False, with
 * nothing changed, when out of memory.
 */
bool spf_use(struct spf *, const struct conf *);

/* Ends the workers; callbacks of questions under way are not called. */
void spf_free(struct spf *);

/* The remembered answer, or NULL; valid until the next call of these. */
const struct spf_answer *spf_known(struct spf *, const char *domain);

/*
 * Asks about a domain, given as A-labels, for a user, whose account may be "".
 * The callback is called exactly once, from the event loop, within two
 * spf_timeouts.  NULL, without a callback, when too many questions wait: in
 * all, of this account or of this user.  With a callback of NULL the lookup is
 * only begun early; fewer of these may wait, and only one for each domain.
 * Accounts are served in turn, and the users of an account in turn.
 */
struct spf_query *spf_ask(struct spf *, const char *user, const char *account,
    const char *domain, spf_cb, void *);

/* Cancels and frees the question: its callback is not called. */
void spf_cancel(struct spf_query *);

#endif /* SPF_H */
