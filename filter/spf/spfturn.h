/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFTURN_H
#define SPFTURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Decides whose question is next.  Domains that never answer occupy a worker
 * for a long time, a user can name any number of them, and an account can have
 * any number of users.  So the workers serve accounts in turn, and the users of
 * an account in turn.
 */

struct spfturns;

/*
 * A user with questions, or an account with such users.  A user without an
 * account is a group of its own.
 */
struct spfturn {
	struct spfturn *group;	   /* the account's */
	size_t		questions; /* joined and not left */
	size_t		working;   /* workers */
	uint64_t served; /* when last: the higher, the later; 0: not yet */
};

/* NULL when out of memory. */
struct spfturns *spfturns_new(void);

/* Frees it.  No turn may be left. */
void spfturns_free(struct spfturns *);

/*
 * The turn of a user, whose account may be "", for one question: kept until it
 * has been left as often as joined.  NULL when out of memory.
 */
struct spfturn	    *
spfturn_join(struct spfturns *, const char *user, const char *account);
void spfturn_leave(struct spfturns *, struct spfturn *);

/* A worker begins a question of a joined turn, and has ended it. */
void spfturn_serve(struct spfturns *, struct spfturn *);
void spfturn_done(struct spfturns *, struct spfturn *);

/*
 * Whether one of so many workers may serve the user now.  One worker is left to
 * other accounts, and one to other users of the account.  If there are too few
 * workers for that, a user with none at work gets one all the same.
 */
bool spfturn_may_work(const struct spfturn *, size_t nworkers);

/* Whether the first is to be served before the second. */
bool spfturn_before(const struct spfturn *, const struct spfturn *);

#endif /* SPFTURN_H */
