/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef USERQUESTION_H
#define USERQUESTION_H

#include <stdbool.h>

#include "user.h"

struct domains;
struct netaddr;

/* What is asked about a user.  The pointers must stay valid until the answer. */
struct users_question {
	const char	     *name;    /* folded; NULL: the user of address */
	const struct netaddr *address; /* that authenticates, without a name */
	const struct netaddr *source;  /* to look up in the list, or NULL */
	const struct domains *domains; /* to look up, or NULL */
	const char	     *addresses;  /* a domain, to see if any is in it */
	bool		      suppresses; /* ask whether there are such lists */
	enum user_scope	      scope;	  /* USER_LOGIN leaves the rest unset */
};

#endif /* USERQUESTION_H */
