/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <bsd/stdlib.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/util.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lineio.h"
#include "log.h"

#define BUF_MIN (128 * 1024)

struct buf {
	char  *data;
	size_t off; /* of what is not yet consumed */
	size_t len; /* of all */
	size_t size;
	bool   secret; /* what is consumed may be one */
};

struct lineio {
	const struct lineio_handler *handler;
	void			    *arg;
	struct buf		     in;
	struct buf		     out;
	size_t			     scanned; /* holds no newline */
	struct event		    *readable;
	struct event		    *writable;
	int			     in_fd;
	int			     out_fd;
	bool			     reading; /* within a read */
	bool			     echoed;  /* the line at hand was */
	bool			     paused;
	bool			     skipping; /* an overlong line */
	bool			     dead;
};

static void
end(struct lineio *io)
{
	if (io->dead)
		return;
	io->dead = true;
	event_del(io->readable);
	event_del(io->writable);
	io->handler->eof(io->arg);
}

/*
 * Moves what is held to the front, leaving nothing where it was: what is not
 * yet consumed is not known to be no secret.
 */
static void
buf_compact(struct buf *b)
{
	size_t held = b->len - b->off;
	size_t from = b->secret || held > b->off ? held : b->off;

	if (b->off == 0)
		return;
	memmove(b->data, b->data + b->off, held);
	explicit_bzero(b->data + from, b->len - from);
	b->len = held;
	b->off = 0;
}

/* Makes room for n more bytes behind what is held. */
static bool
buf_reserve(struct buf *b, size_t n)
{
	size_t size;
	char  *data;

	buf_compact(b);
	if (b->size - b->len >= n)
		return (true);
	for (size = b->size; size - b->len < n; size *= 2)
		continue;
	if ((data = malloc(size)) == NULL)
		return (false);
	memcpy(data, b->data, b->len);
	freezero(b->data, b->size);
	b->data = data;
	b->size = size;
	return (true);
}

/* Empties it, and gives back what a burst has made it grow by. */
static void
buf_relax(struct buf *b)
{
	char *data;

	if (b->secret)
		explicit_bzero(b->data, b->len);
	b->secret = false;
	b->off = b->len = 0;
	if (b->size <= BUF_MIN * 2 || (data = malloc(BUF_MIN)) == NULL)
		return;
	free(b->data);
	b->data = data;
	b->size = BUF_MIN;
}

static void
resume(struct lineio *io)
{
	if (!io->paused || io->out.len - io->out.off > LINEIO_LOW)
		return;
	io->paused = false;
	event_add(io->readable, NULL);
}

static void
flush(struct lineio *io)
{
	struct buf *b = &io->out;
	ssize_t	    n;

	while (!io->dead && b->off < b->len) {
		n = write(io->out_fd, b->data + b->off, b->len - b->off);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			event_add(io->writable, NULL);
			break;
		}
		if (n == -1) {
			end(io);
			return;
		}
		b->off += (size_t)n;
	}
	if (b->off == b->len)
		buf_relax(b);
	resume(io);
}

static void
on_output(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	flush(arg);
}

static void
put_out(struct lineio *io, const void *data, size_t len)
{
	struct buf *b = &io->out;

	if (io->dead)
		return;
	if (b->size - b->len < len && !buf_reserve(b, len)) {
		log_warnx("out of memory for output");
		end(io);
		return;
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
	if (!io->reading)
		flush(io);
}

void
lineio_echo(struct lineio *io, const void *data, size_t len)
{
	io->echoed = true;
	put_out(io, data, len);
}

void
lineio_printf(struct lineio *io, const char *fmt, ...)
{
	char	line[4096];
	va_list ap;
	size_t	used = sizeof(line);
	int	n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(line)) {
		used = (size_t)n;
		io->out.secret = true;
		put_out(io, line, used);
	} else
		log_once("an answer is too long to be written");
	explicit_bzero(line, used);
}

static void
hand_over(struct lineio *io, char *line, size_t len, bool first)
{
	if (io->skipping) {
		io->skipping = false;
		return;
	}
	if (len <= LINEIO_MAX) {
		io->handler->line(io->arg, line, len, first);
		return;
	}
	line[LINEIO_HEAD] = '\0';
	io->handler->overlong(io->arg, line, LINEIO_HEAD);
}

/* What is not echoed may be a secret. */
static void
hand_out(struct lineio *io, char *line, size_t len, bool first)
{
	io->echoed = false;
	hand_over(io, line, len, first);
	io->in.secret = io->in.secret || !io->echoed;
}

/* Hands out the whole lines that the buffer holds. */
static void
take_lines(struct lineio *io)
{
	struct buf *b = &io->in;
	char	   *line, *nl;
	size_t	    len;
	bool	    first = true;

	while (!io->dead && b->off < b->len) {
		line = b->data + b->off;
		nl = memchr(line + io->scanned, '\n',
		    b->len - b->off - io->scanned);
		if (nl == NULL) {
			io->scanned = b->len - b->off;
			return;
		}
		len = (size_t)(nl - line);
		io->scanned = 0;
		b->off += len + 1;
		*nl = '\0';
		hand_out(io, line, len, first);
		first = false;
	}
}

/* Lets go of a line that is longer than any we take, newline to come. */
static void
drop_overlong(struct lineio *io)
{
	struct buf *b = &io->in;
	char	    head[LINEIO_HEAD + 1];

	if (b->len - b->off <= LINEIO_MAX)
		return;
	if (!io->skipping) {
		memcpy(head, b->data + b->off, LINEIO_HEAD);
		head[LINEIO_HEAD] = '\0';
		io->handler->overlong(io->arg, head, LINEIO_HEAD);
		explicit_bzero(head, sizeof(head));
	}
	io->skipping = true;
	io->scanned = 0;
	b->secret = true;
	buf_relax(b);
}

static void
pause_if_full(struct lineio *io)
{
	if (io->dead || io->out.len - io->out.off <= LINEIO_HIGH)
		return;
	io->paused = true;
	event_del(io->readable);
}

static void
on_input(evutil_socket_t fd, short what, void *arg)
{
	struct lineio *io = arg;
	struct buf    *b = &io->in;
	ssize_t	       n;

	(void)what;
	if (b->size - b->len < BUF_MIN / 2 && !buf_reserve(b, BUF_MIN / 2)) {
		log_warnx("out of memory for input");
		end(io);
		return;
	}
	n = read(fd, b->data + b->len, b->size - b->len);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		end(io);
		return;
	}
	b->len += (size_t)n;
	io->reading = true;
	take_lines(io);
	if (b->off == b->len)
		buf_relax(b);
	else {
		drop_overlong(io);
		buf_compact(b);
		b->secret = false;
	}
	io->reading = false;
	flush(io);
	pause_if_full(io);
}

static bool
buf_init(struct buf *b)
{
	b->size = BUF_MIN;
	return ((b->data = malloc(b->size)) != NULL);
}

static void
buf_free(struct buf *b)
{
	if (b->data != NULL)
		freezero(b->data, b->size);
}

struct lineio *
lineio_new(struct event_base *base, int in, int out,
    const struct lineio_handler *handler, void *arg)
{
	struct lineio *io;

	if ((io = calloc(1, sizeof(*io))) == NULL)
		return (NULL);
	io->handler = handler;
	io->arg = arg;
	io->in_fd = in;
	io->out_fd = out;
	io->readable = event_new(base, in, EV_READ | EV_PERSIST, on_input, io);
	io->writable = event_new(base, out, EV_WRITE, on_output, io);
	if (!buf_init(&io->in) || !buf_init(&io->out) || io->readable == NULL ||
	    io->writable == NULL || evutil_make_socket_nonblocking(in) == -1 ||
	    evutil_make_socket_nonblocking(out) == -1 ||
	    event_add(io->readable, NULL) == -1) {
		lineio_free(io);
		return (NULL);
	}
	return (io);
}

void
lineio_free(struct lineio *io)
{
	if (io == NULL)
		return;
	if (io->readable != NULL)
		event_free(io->readable);
	if (io->writable != NULL)
		event_free(io->writable);
	buf_free(&io->in);
	buf_free(&io->out);
	free(io);
}
