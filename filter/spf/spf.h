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
 * Whether a domain publishes SPF (RFC 7208) in the way that the configuration
 * asks for.  libspf2 blocks while it asks the DNS, and reads what strangers
 * have put there, so it runs in worker processes; here are the questions to
 * them, and the answers known from before.
 */

/* The answer is gone when the callback returns. */
typedef void (*spf_cb)(void *, const struct spf_answer *);

/*
 * Has the workers started, and again when they end, and holds the configuration.
 * What starts them outlives this.  NULL when out of memory or the configuration
 * is bad.
 */
struct spf *
spf_new(struct event_base *, const struct conf *, struct spfworkers *);

/*
 * Goes by another configuration from now on, which is held, with nothing known
 * from before.  A worker that is at work is replaced once it has answered.
 * False, and nothing has changed, when out of memory.
 */
bool spf_use(struct spf *, const struct conf *);

/* Ends the workers.  Questions under way are not answered any more. */
void spf_free(struct spf *);

/* An answer known from before; NULL when there is none. */
const struct spf_answer *spf_known(struct spf *, const char *domain);

/*
 * Asks about a domain, given as A-labels, for a user of an account ("": of
 * none).  The callback, which may be NULL, comes exactly once, from the event
 * loop, within two spf_timeouts, whoever else has asked about the domain
 * before.  NULL, and no callback, when too many questions wait: in all, of this
 * account or of this user.  Of those that nobody waits for yet (no callback)
 * fewer may wait, and one about each domain.  Accounts are served in turn, and
 * the users of an account in turn.
 */
struct spf_query *spf_ask(struct spf *, const char *user, const char *account,
    const char *domain, spf_cb, void *);

/* Cancels and frees the question: its callback is not called. */
void spf_cancel(struct spf_query *);

#endif /* SPF_H */
