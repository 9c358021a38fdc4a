/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>

/*
 * What a process gives up once it has started, so that whoever takes it over
 * gains little.  All that is this system's own way to do so is in sandbox.c.
 */

/*
 * For a program from its start: no core file, since passwords are in memory;
 * nobody but root can trace it or read its memory; nothing it starts gains
 * privileges.  False, with errno set, when that cannot be had.
 */
bool sandbox_begin(void);

/*
 * The same for a process that another one starts, and that is to end with it.
 * To be called when all privileges are given up, which would undo it.
 */
bool sandbox_child(void);

/*
 * For the table and the filter, when all is ready and before anything has been
 * read from smtpd: what their work takes is left, to all threads.  Anything
 * else fails with EPERM and does not end the program.  False, with errno set,
 * when that cannot be had.
 */
bool sandbox_program(void);

/*
 * The same for report.cgi where Redis is at a socket or an address, without
 * TLS: no file can be opened any more, no thread started and no name asked for.
 */
bool sandbox_page(void);

/*
 * For a worker that has the sockets it needs: it computes and talks to those.
 * Anything else ends it, but for files, which just cannot be opened.  Memory is
 * bounded.  False, with errno set, when that cannot be had.
 */
bool sandbox_worker(void);

#endif /* SANDBOX_H */
