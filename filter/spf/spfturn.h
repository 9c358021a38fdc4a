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
 * Whose turn it is: names that never answer take their time, and anybody can
 * make up as many as he likes, and an account as many users.  So the workers
 * serve accounts in turn, the users of an account in turn, and not questions in
 * the order that they come in.
 */

struct spfturns;

/*
 * A user for whom something is asked, or an account; there while something is.
 * A user without an account is a group of its own.
 */
struct spfturn {
	struct spfturn *group;	   /* the account's */
	size_t		questions; /* joined and not left */
	size_t		working;   /* workers */
	uint64_t served; /* when last: the higher, the later; 0: not yet */
};

/* NULL when out of memory. */
struct spfturns *spfturns_new(void);

/* Nobody may be left. */
void spfturns_free(struct spfturns *);

/*
 * The turn of a user, whose account may be "", for one question: kept until it
 * has been left as often as joined.  NULL when out of memory.
 */
struct spfturn	    *
spfturn_join(struct spfturns *, const char *user, const char *account);
void spfturn_leave(struct spfturns *, struct spfturn *);

/* A worker begins to work for the user, which is a turn joined; it is done. */
void spfturn_serve(struct spfturns *, struct spfturn *);
void spfturn_done(struct spfturns *, struct spfturn *);

/*
 * Whether one of so many workers may work for the user now.  The last one is
 * left to other accounts, and the last but one to other users of the account;
 * who has none at work gets one all the same, where there are too few for that.
 */
bool spfturn_may_work(const struct spfturn *, size_t nworkers);

/* Whether the first is to be served before the second. */
bool spfturn_before(const struct spfturn *, const struct spfturn *);

#endif /* SPFTURN_H */
