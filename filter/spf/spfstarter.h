/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFSTARTER_H
#define SPFSTARTER_H

/*
 * The process that starts the workers, so that the filter need not be able to
 * start any program, and connects their sockets, so that they need not be able
 * to connect to anything: what a worker gets is a socket to a name server.  It
 * is the same program, started anew with the option -S, and so holds nothing
 * of the filter's; it reads nothing but messages of a fixed size.
 */

/*
 * Runs until the other end of standard input, a socket to the filter, is
 * closed, and ends all workers then.  Never returns.
 */
void spfstarter(void) __attribute__((__noreturn__));

#endif /* SPFSTARTER_H */
