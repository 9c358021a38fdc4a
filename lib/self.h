/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SELF_H
#define SELF_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The file that this process runs.  How a system tells that is its own affair:
 * all of it is in self.c.
 */

/*
 * Opens it for fexecve(3), also when there is another one under its name by
 * now.  Closed at execve(2).  -1, with errno set, when that fails.
 */
int self_open(void);

/* Writes the path of a file beside it; false when that is not to be had. */
bool self_beside(char *path, size_t size, const char *name);

#endif /* SELF_H */
