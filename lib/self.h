/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SELF_H
#define SELF_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What a process does to itself in ways that depend on the system, other than
 * in sandbox.c.
 */

/*
 * Opens the file of the running program for fexecve(3), even if another file
 * has its name by now.  The descriptor is closed at execve(2).  -1, with errno
 * set, if that fails.
 */
int self_open(void);

/* Writes the path of a file in the same directory; false if that fails. */
bool self_beside(char *path, size_t size, const char *name);

/*
 * Lowers the priority of the calling thread, like nice(1); false if it fails.
 */
bool self_thread_nice(int);

#endif /* SELF_H */
