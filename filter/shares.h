/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SHARES_H
#define SHARES_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>

/*
 * Who holds how much of what is bounded for all, so that what one holds pushes
 * out nothing of the others.
 */

struct share;
struct shares;

/* What is held: the first member of a struct of the caller's. */
struct shares_item {
	TAILQ_ENTRY(shares_item) next;
	struct share *share;
	size_t	      bytes;
};

/* NULL when out of memory. */
struct shares *shares_new(void);

/* No item may be left. */
void shares_free(struct shares *);

/* Bytes of all items. */
size_t shares_bytes(const struct shares *);

/* Adds an item of so many bytes.  False when out of memory. */
bool shares_add(struct shares *, const char *user, struct shares_item *,
    size_t bytes);

/* The user who holds an item. */
const char *shares_user(const struct shares_item *);

/* Removes one; it stays the caller's. */
void shares_remove(struct shares *, struct shares_item *);

/*
 * What is to go first: the oldest item of a user who holds most.  Who holds at
 * least half as much as another may be taken for holding as much.  NULL: there
 * is none.
 */
struct shares_item *shares_surplus(const struct shares *);

#endif /* SHARES_H */
