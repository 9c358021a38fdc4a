/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFFD_H
#define SPFFD_H

#include <sys/types.h>

#include <stdbool.h>

/* Messages with a descriptor at their side: unix(7), SCM_RIGHTS. */

/*
 * Sends a message, with a copy of the descriptor if that is not -1.  False if
 * it would block or fails.
 */
bool spffd_send(int sock, const void *, size_t, int fd);

/*
 * Receives a message; waits for it unless flags has MSG_DONTWAIT.  Returns what
 * recvmsg(2) does.  The caller owns the descriptor, which is closed at
 * execve(2); it is -1 if none came.
 */
ssize_t spffd_recv(int sock, void *, size_t, int *fd, int flags);

#endif /* SPFFD_H */
