/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef BOUNDS_H
#define BOUNDS_H

#include <stdint.h>

/* What becomes of mail for which a quota or rate has no room. */
enum over {
	OVER_UNSET,
	OVER_DEFER,
	OVER_REJECT,
	OVER_SANDBOX
};

#define LIMIT_UNSET 0
#define LIMIT_NONE (-1) /* as much as one likes */

/* How messages are bounded: by the user, the account, the configuration. */
struct bounds {
	enum over over;
	int64_t	  max_recipients; /* of a message */
	int64_t	  max_size;	  /* bytes */
};

/* Takes from others what is unset. */
void bounds_take(struct bounds *, const struct bounds *others);

#endif /* BOUNDS_H */
