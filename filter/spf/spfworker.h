/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFWORKER_H
#define SPFWORKER_H

/*
 * A worker process: the same program, started anew with the option -W so that
 * it shares no memory with the filter.  It has two descriptors, over which goes
 * what spfwire.h says: a socket to the filter on standard input, and one to the
 * starter.
 */
#define SPFWORKER_STARTER_FD 3

/*
 * Runs until the other end is closed.  Lets go of every other descriptor and
 * of all privileges, and puts on a seccomp(2) filter that leaves the DNS: it
 * can open no file, start no program and no process.  Never returns.
 */
void spfworker(void) __attribute__((__noreturn__));

#endif /* SPFWORKER_H */
