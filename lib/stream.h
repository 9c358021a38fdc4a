/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef STREAM_H
#define STREAM_H

#include <sys/socket.h>
#include <sys/types.h>

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * A connection to a server, by a socket, with TLS on it or without.  Nothing
 * of it ever waits.
 */
struct places;
struct stream;

/* Instead of a number of bytes. */
#define STREAM_LATER \
	(-1) /* when stream_wants_write(), or when there is input */
#define STREAM_FAILED (-2)

/* Why an operation stopped. */
struct stream_stop {
	bool wants_write; /* to go on later */
	char error[160];
};

/*
 * Starts to connect.  With TLS, whose context may be NULL for none, name and
 * places are as tls_begin() has them.  Returns NULL, with
 * errno set, when that fails at once.
 */
struct stream *stream_open(const struct sockaddr *, socklen_t, SSL_CTX *,
    const char *name, const struct places *);

/* Wipes what TLS holds, and closes it. */
void stream_close(struct stream *);

/* The descriptor to wait for, which the stream closes. */
int stream_fd(const struct stream *);

/*
 * Read or write as much as can be now.  0 is the server's end.  The first
 * call must wait until the descriptor is writable.
 */
ssize_t stream_read(struct stream *, void *, size_t);
ssize_t stream_write(struct stream *, const void *, size_t);

/* Whether what stopped last waits for the descriptor to be writable. */
bool stream_wants_write(const struct stream *);

/* Whether there is more to be read without the descriptor's saying so. */
bool stream_pending(const struct stream *);

/* Why it failed. */
const char *stream_error(const struct stream *);

#endif /* STREAM_H */
