/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFASK_H
#define SPFASK_H

#include <stddef.h>
#include <stdint.h>

/*
 * Asks the DNS (RFC 1035) for a worker, which cannot connect sockets: the
 * starter does.  Each question has a new socket, so that nobody knows the port
 * to which a forged answer would have to go.
 */

/*
 * Call once, before the first question: how long a question may take over all
 * servers together.
 */
void spfask_init(int timeout_ms);

/*
 * Asks for the records of a type, over UDP, and over TCP if the answer does not
 * fit.  Tries the servers in turn, first the one that answered last.  Returns
 * the length of the answer, whose header and question are right and whose code
 * is 0; or a negative error of netdb(3): HOST_NOT_FOUND, NO_RECOVERY if the
 * name is invalid, TRY_AGAIN if no server answered.  Ends the process when the
 * starter has ended.
 */
int spfask(const char *name, int type, uint8_t *answer, size_t size);

#endif /* SPFASK_H */
