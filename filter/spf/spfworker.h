/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFWORKER_H
#define SPFWORKER_H

/*
 * A worker process: the same program, started anew with the option -W so that
 * it shares no memory with the filter.  It has two sockets, which carry the
 * messages of spfwire.h: standard input to the filter, and one to the starter.
 */

/*
 * Runs until the other end is closed.  First closes every other descriptor, and
 * gives up all privileges and, by seccomp(2), all system calls that it does not
 * need: it can open no file and start no process.  Never returns.
 */
void spfworker(void) __attribute__((__noreturn__));

#endif /* SPFWORKER_H */
