/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef ARGV_H
#define ARGV_H

#include <stddef.h>

/* A command that is kept, to be sent once more. */
struct argv {
	size_t	    bytes; /* of all of it */
	int	    argc;
	const char *argv[]; /* and the strings it points to */
};

/* Copies a command.  NULL when out of memory. */
struct argv *argv_copy(int, const char **);

/* Wipes it, since it may hold secrets, and frees it. */
void argv_free(struct argv *);

#endif /* ARGV_H */
