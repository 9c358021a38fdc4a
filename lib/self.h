/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SELF_H
#define SELF_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What a process has to do with itself, and each system has its own way for: all
 * of it but what is in sandbox.c is in self.c.
 */

/*
 * Opens the file that it runs for fexecve(3), also when there is another one under its name by
 * now.  Closed at execve(2).  -1, with errno set, when that fails.
 */
int self_open(void);

/* Writes the path of a file beside that one; false when that is not to be had. */
bool self_beside(char *path, size_t size, const char *name);

/* Has the calling thread make way for others, like nice(1); false if not. */
bool self_thread_nice(int);

#endif /* SELF_H */
