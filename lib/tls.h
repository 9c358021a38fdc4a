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
 * TLS of a stream.  Only this file calls OpenSSL for it, so that a program
 * without TLS need not be linked to it.
 */
struct places;

/*
 * Makes a context for clients: TLS 1.2 or newer; certificates are verified by
 * the authorities in the file ca, or by the system's if that is NULL.  Returns
 * NULL after having logged why.  The caller frees it with tls_free().
 */
SSL_CTX *tls_new(const char *ca);
void	 tls_free(SSL_CTX *);

/*
 * Begins TLS on a socket.  The certificate must hold the name, which may be an
 * address, or the host of one of the places, which must outlive it.  NULL when
 * out of memory.  The caller frees it with tls_end(), which wipes its contents
 * and leaves the socket open.
 */
SSL *tls_begin(SSL_CTX *, int fd, const char *name, const struct places *);
void tls_end(SSL *);

/*
 * As stream_read(), _write() and _pending(); the last argument says what
 * stopped them.
 */
ssize_t tls_read(SSL *, void *, size_t, struct stream_stop *);
ssize_t tls_write(SSL *, const void *, size_t, struct stream_stop *);
bool	tls_pending(const SSL *);

#endif /* TLS_H */
