/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <bsd/string.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream.h"
#include "tls.h"

struct stream {
	int		   fd;
	SSL		  *ssl; /* NULL: without TLS */
	struct stream_stop stop;
};

static bool
connect_socket(struct stream *s, const struct sockaddr *sa, socklen_t len)
{
	const int on = 1;

	s->fd = socket(sa->sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd == -1)
		return (false);
	if (sa->sa_family != AF_UNIX)
		(void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on,
		    sizeof(on));
	return (connect(s->fd, sa, len) == 0 || errno == EINPROGRESS);
}

struct stream *
stream_open(const struct sockaddr *sa, socklen_t len, SSL_CTX *tls,
    const char *name, const struct places *places)
{
	struct stream *s;
	int	       saved;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return (NULL);
	s->stop.wants_write = true;
	if (connect_socket(s, sa, len)) {
		if (tls == NULL ||
		    (s->ssl = tls_begin(tls, s->fd, name, places)) != NULL)
			return (s);
		errno = ENOMEM;
	}
	saved = errno;
	stream_close(s);
	errno = saved;
	return (NULL);
}

void
stream_close(struct stream *s)
{
	if (s == NULL)
		return;
	if (s->ssl != NULL)
		tls_end(s->ssl);
	if (s->fd != -1)
		close(s->fd);
	free(s);
}

int
stream_fd(const struct stream *s)
{
	return (s->fd);
}

bool
stream_wants_write(const struct stream *s)
{
	return (s->stop.wants_write);
}

bool
stream_pending(const struct stream *s)
{
	return (s->ssl != NULL && tls_pending(s->ssl));
}

const char *
stream_error(const struct stream *s)
{
	return (s->stop.error);
}

/* What became of an operation on the socket. */
static ssize_t
came_to(struct stream *s, ssize_t n, bool writing)
{
	s->stop.wants_write = false;
	if (n >= 0)
		return (n);
	if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
		strlcpy(s->stop.error, strerror(errno), sizeof(s->stop.error));
		return (STREAM_FAILED);
	}
	s->stop.wants_write = writing;
	return (STREAM_LATER);
}

ssize_t
stream_read(struct stream *s, void *buf, size_t size)
{
	if (s->ssl == NULL)
		return (came_to(s, recv(s->fd, buf, size, 0), false));
	return (tls_read(s->ssl, buf, size, &s->stop));
}

ssize_t
stream_write(struct stream *s, const void *buf, size_t size)
{
	if (s->ssl == NULL)
		return (came_to(s, send(s->fd, buf, size, MSG_NOSIGNAL), true));
	return (tls_write(s->ssl, buf, size, &s->stop));
}
