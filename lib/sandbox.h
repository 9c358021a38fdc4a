/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>

/*
 * What a process gives up once it has started, so that whoever takes it over
 * gains little.  Everything that depends on the system is in sandbox.c.
 */

/*
 * For a program when it starts: it makes no core file, since passwords are in
 * its memory; only root can trace it or read its memory; nothing that it starts
 * gains privileges.  False, with errno set, if that is impossible.
 */
bool sandbox_begin(void);

/*
 * The same for a process that must end with its parent.  Call it after
 * privileges were given up, since that would undo it.
 */
bool sandbox_child(void);

/*
 * For the table and the filter, before they read anything from smtpd: leaves
 * all threads only the system calls that their work needs.  Others fail with
 * EPERM and do not end the program.  False, with errno set, if that is
 * impossible.
 */
bool sandbox_program(void);

/*
 * The same for report.cgi if Redis is at a socket or an address, without TLS:
 * it can open no file, start no thread and look up no name.
 */
bool sandbox_page(void);

/*
 * For a worker that has its sockets: it can compute and use those.  Other calls
 * end it, except that opening a file only fails.  Its memory is limited.
 * False, with errno set, if that is impossible.
 */
bool sandbox_worker(void);

#endif /* SANDBOX_H */
