/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef XADD_H
#define XADD_H

/* Words of a command, enough for 20 fields. */
#define XADD_WORDS 46

/* The command that adds an entry to a stream in Redis (XADD). */
struct xadd {
	int	    n;
	const char *v[XADD_WORDS];
	char	    max[16];
};

/*
 * Begins an entry without fields.  Older entries than about the last max are to
 * go.  The key must stay as long as the command.
 */
void xadd_begin(struct xadd *, const char *key, int max);

/*
 * Adds a field, whose strings must stay as long as the command; none if the
 * value is NULL or "", or there is no more room.
 */
void xadd_field(struct xadd *, const char *name, const char *value);

#endif /* XADD_H */
