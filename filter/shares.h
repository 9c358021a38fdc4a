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
 * Counts how much of a shared, bounded memory each user's items take, so that
 * one user's items do not push out those of others.
 */

struct share;
struct shares;

/* An item: the first member of a struct of the caller. */
struct shares_item {
	TAILQ_ENTRY(shares_item) next;
	struct share *share;
	size_t	      bytes;
};

/* NULL when out of memory. */
struct shares *shares_new(void);

/* Frees it.  No item may be left. */
void shares_free(struct shares *);

/* Bytes of all items. */
size_t shares_bytes(const struct shares *);

/* Adds an item of so many bytes.  False when out of memory. */
bool shares_add(struct shares *, const char *user, struct shares_item *,
    size_t bytes);

/* The user of an item. */
const char *shares_user(const struct shares_item *);

/* Removes an item, which the caller frees. */
void shares_remove(struct shares *, struct shares_item *);

/*
 * The item to drop first: the oldest of the user who has most, within a factor
 * of two.  NULL if there are no items.
 */
struct shares_item *shares_surplus(const struct shares *);

#endif /* SHARES_H */
