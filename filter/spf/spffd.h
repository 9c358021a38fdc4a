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
 * Sends a message, and a copy of the descriptor where it is not -1.  False
 * when that is not possible at once.
 */
bool spffd_send(int sock, const void *, size_t, int fd);

/*
 * Waits for a message, unless flags has MSG_DONTWAIT, and takes it.  Returns
 * what recvmsg(2) does.  The descriptor, closed at execve(2), is the caller's;
 * -1 when none came.
 */
ssize_t spffd_recv(int sock, void *, size_t, int *fd, int flags);

#endif /* SPFFD_H */
