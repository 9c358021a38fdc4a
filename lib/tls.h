/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef TLS_H
#define TLS_H

#include <sys/types.h>

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "stream.h"

/*
 * TLS of a stream: nobody else calls OpenSSL for it, so that a program which
 * needs no TLS can do without.
 */
struct places;

/*
 * What a client has of TLS: 1.2 at least, the server's certificate verified by
 * what the file ca holds, or by the system's where that is NULL.  Returns NULL
 * after having logged why.  The caller frees with tls_free().
 */
SSL_CTX *tls_new(const char *ca);
void	 tls_free(SSL_CTX *);

/*
 * Begins TLS on a socket.  The certificate must be good for the name, which may
 * be an address, or for the host of one of the places, which must outlive it.
 * NULL when memory is short.  The caller frees with tls_end(), which wipes what
 * it holds and leaves the socket open.
 */
SSL *tls_begin(SSL_CTX *, int fd, const char *name, const struct places *);
void tls_end(SSL *);

/* Like stream_read() and the like; what stopped them is told in the last. */
ssize_t tls_read(SSL *, void *, size_t, struct stream_stop *);
ssize_t tls_write(SSL *, const void *, size_t, struct stream_stop *);
bool	tls_pending(const SSL *);

#endif /* TLS_H */
