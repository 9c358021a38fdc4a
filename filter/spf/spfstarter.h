/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFSTARTER_H
#define SPFSTARTER_H

/*
 * The process that starts the workers and connects sockets to name servers for
 * them.  So the filter need not be able to start programs, nor a worker to
 * connect to anything.  It is the same program, started anew with the option
 * -S, so that it shares no memory with the filter.  It reads only messages of a
 * fixed size.
 */

/*
 * Runs until the other end of standard input, a socket to the filter, is
 * closed, and ends all workers then.  Never returns.
 */
void spfstarter(void) __attribute__((__noreturn__));

#endif /* SPFSTARTER_H */
