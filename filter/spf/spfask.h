/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFASK_H
#define SPFASK_H

#include <stddef.h>
#include <stdint.h>

/*
 * A question to the DNS (RFC 1035), over sockets that somebody else has
 * connected: for a worker, which may not connect any itself.  Each question
 * goes over a new one, so that nobody knows the port to send a forged answer
 * to.
 */

/*
 * Once, before the first question: how long one may take in all, whatever
 * number of servers there is.
 */
void spfask_init(int timeout_ms);

/*
 * Asks for the records of a type, over UDP and, where the answer does not fit,
 * TCP; servers in turn, the one that answered last first.  A server that fails
 * is none.  Returns the length of the answer, whose header and question are
 * right and whose code is 0, or one of netdb(3)'s errors, negative:
 * HOST_NOT_FOUND, NO_RECOVERY when the name cannot be asked for, TRY_AGAIN.
 * Ends the process when the starter is gone.
 */
int spfask(const char *name, int type, uint8_t *answer, size_t size);

#endif /* SPFASK_H */
