/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/socket.h>
#include <sys/types.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "spffd.h"

union control {
	struct cmsghdr head; /* for its alignment */
	char	       room[CMSG_SPACE(sizeof(int))];
};

bool
spffd_send(int sock, const void *data, size_t len, int fd)
{
	union control	control;
	struct iovec	iov = { (void *)(uintptr_t)data, len };
	struct msghdr	msg = { .msg_iov = &iov,
		  .msg_iovlen = 1,
		  .msg_control = &control,
		  .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	const int	flags = MSG_DONTWAIT | MSG_NOSIGNAL;

	if (fd == -1)
		return (send(sock, data, len, flags) == (ssize_t)len);
	memset(&control, 0, sizeof(control));
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return (sendmsg(sock, &msg, flags) == (ssize_t)len);
}

ssize_t
spffd_recv(int sock, void *data, size_t len, int *fd, int flags)
{
	union control	control;
	struct iovec	iov = { data, len };
	struct msghdr	msg = { .msg_iov = &iov,
		  .msg_iovlen = 1,
		  .msg_control = &control,
		  .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg;
	ssize_t		n;

	*fd = -1;
	do {
		n = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return (-1);
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg != NULL && cmsg->cmsg_level == SOL_SOCKET &&
	    cmsg->cmsg_type == SCM_RIGHTS &&
	    cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(cmsg), sizeof(*fd));
	return (n);
}
