/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef BOUNDS_H
#define BOUNDS_H

#include <stdint.h>

/* What happens to mail beyond a quota or rate. */
enum over {
	OVER_UNSET,
	OVER_DEFER,
	OVER_REJECT,
	OVER_SANDBOX
};

#define LIMIT_UNSET 0
#define LIMIT_NONE (-1) /* explicitly no limit */

/* The bounds that a user, an account or the configuration sets. */
struct bounds {
	enum over over;
	int64_t	  max_recipients; /* of a message */
	int64_t	  max_size;	  /* bytes */
};

/* Replaces each member that is unset by that of the others. */
void bounds_take(struct bounds *, const struct bounds *others);

#endif /* BOUNDS_H */
