/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/socket.h>
#include <sys/types.h>

#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "wake.h"

struct wake {
	int	      fd[2]; /* the event loop's; the threads' */
	struct event *event;
	void (*cb)(void *);
	void *arg;
};

static void
on_bytes(evutil_socket_t fd, short what, void *arg)
{
	struct wake *w = arg;
	char	     bytes[64];

	(void)what;
	if (read(fd, bytes, sizeof(bytes)) > 0)
		w->cb(w->arg);
}

struct wake *
wake_new(struct event_base *base, void (*cb)(void *), void *arg)
{
	struct wake *w;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		return (NULL);
	w->cb = cb;
	w->arg = arg;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		w->fd) == -1) {
		free(w);
		return (NULL);
	}
	w->event = event_new(base, w->fd[0], EV_READ | EV_PERSIST, on_bytes, w);
	if (w->event != NULL && event_add(w->event, NULL) == 0)
		return (w);
	wake_free(w);
	return (NULL);
}

void
wake_up(struct wake *w)
{
	if (write(w->fd[1], "", 1) == -1)
		return; /* there is more than enough to read already */
}

void
wake_free(struct wake *w)
{
	if (w == NULL)
		return;
	if (w->event != NULL)
		event_free(w->event);
	close(w->fd[0]);
	close(w->fd[1]);
	free(w);
}
