/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFTURN_H
#define SPFTURN_H

#include <stddef.h>
#include <stdint.h>

/*
 * Whose turn it is: names that never answer take their time, and anybody can
 * make up as many as he likes.  So the workers serve users in turn, and not
 * questions in the order that they come in.
 */

struct spfturns;

/* A user for whom something is asked; there while something is. */
struct spfturn {
	size_t	 questions; /* that wait or are asked */
	size_t	 working;   /* workers */
	uint64_t served;    /* when last: the higher, the later; 0: not yet */
};

/* NULL when memory is short. */
struct spfturns *spfturns_new(void);

/* Nobody may be left. */
void spfturns_free(struct spfturns *);

/*
 * The turn of a user, kept until it has been left as often as joined.  NULL
 * when memory is short.
 */
struct spfturn *spfturn_join(struct spfturns *, const char *user);
void		spfturn_leave(struct spfturns *, struct spfturn *);

/* A worker begins to work for the user, which is a turn joined; it is done. */
void spfturn_serve(struct spfturns *, struct spfturn *);
void spfturn_done(struct spfturns *, struct spfturn *);

#endif /* SPFTURN_H */
