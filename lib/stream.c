/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <bsd/string.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "netaddr.h"
#include "place.h"
#include "stream.h"

struct stream {
	int  fd;
	SSL *ssl; /* NULL: without TLS */
	bool wants_write;
	char error[160];
};

SSL_CTX *
stream_tls(const char *ca)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
	int	 ok;

	if (tls == NULL) {
		log_warnx("tls: out of memory");
		return (NULL);
	}
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
	SSL_CTX_set_mode(tls,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* What was received holds hashes of passwords. */
	SSL_CTX_set_options(tls, SSL_OP_CLEANSE_PLAINTEXT);
	ok = ca != NULL ? SSL_CTX_load_verify_locations(tls, ca, NULL)
			: SSL_CTX_set_default_verify_paths(tls);
	if (ok == 1)
		return (tls);
	log_warnx("redis_ca: %s: %s", ca != NULL ? ca : "the system's",
	    ERR_reason_error_string(ERR_peek_last_error()));
	SSL_CTX_free(tls);
	return (NULL);
}

static bool
names_host(X509 *cert, const char *host)
{
	return (X509_check_host(cert, host, 0, 0, NULL) == 1 ||
	    X509_check_ip_asc(cert, host, 0) == 1);
}

/*
 * Servers are told of by their addresses, which certificates seldom hold.  Who
 * has a certificate for a host that the operator has written is as good.
 */
static int
on_verify(int ok, X509_STORE_CTX *ctx)
{
	SSL		    *ssl = X509_STORE_CTX_get_ex_data(ctx,
			    SSL_get_ex_data_X509_STORE_CTX_idx());
	const struct places *places = SSL_get_ex_data(ssl, 0);
	const int	     error = X509_STORE_CTX_get_error(ctx);
	size_t		     i;

	if (ok == 1 ||
	    (error != X509_V_ERR_IP_ADDRESS_MISMATCH &&
		error != X509_V_ERR_HOSTNAME_MISMATCH))
		return (ok);
	for (i = 0; i < places->n; i++)
		if (names_host(X509_STORE_CTX_get0_cert(ctx),
			places->at[i].host)) {
			X509_STORE_CTX_set_error(ctx, X509_V_OK);
			return (1);
		}
	return (0);
}

static bool
start_tls(struct stream *s, SSL_CTX *tls, const char *name,
    const struct places *places)
{
	struct netaddr na;

	if ((s->ssl = SSL_new(tls)) == NULL || SSL_set_fd(s->ssl, s->fd) != 1 ||
	    SSL_set_ex_data(s->ssl, 0, (void *)(uintptr_t)places) != 1)
		return (false);
	SSL_set_connect_state(s->ssl);
	SSL_set_verify(s->ssl, SSL_VERIFY_PEER, on_verify);
	if (netaddr_parse(name, &na))
		return (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s->ssl),
			    name) == 1);
	return (SSL_set_tlsext_host_name(s->ssl, name) == 1 &&
	    SSL_set1_host(s->ssl, name) == 1);
}

static bool
start_connect(struct stream *s, const struct sockaddr *sa, socklen_t len)
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
	s->wants_write = true;
	if (start_connect(s, sa, len)) {
		if (tls == NULL || start_tls(s, tls, name, places))
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
	SSL_free(s->ssl);
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
	return (s->wants_write);
}

bool
stream_pending(const struct stream *s)
{
	return (s->ssl != NULL && SSL_pending(s->ssl) > 0);
}

const char *
stream_error(const struct stream *s)
{
	return (s->error);
}

static ssize_t
failed(struct stream *s, const char *why)
{
	strlcpy(s->error, why, sizeof(s->error));
	return (STREAM_FAILED);
}

/* What TLS failed of: a certificate that does not fit, by its name. */
static ssize_t
tls_failed(struct stream *s)
{
	long	    verified = SSL_get_verify_result(s->ssl);
	const char *why = ERR_reason_error_string(ERR_peek_error());

	if (verified != X509_V_OK)
		why = X509_verify_cert_error_string(verified);
	ERR_clear_error();
	return (failed(s, why != NULL ? why : "TLS failed"));
}

/* What became of an operation on the socket, or on TLS. */
static ssize_t
came_to(struct stream *s, ssize_t n, bool writing)
{
	s->wants_write = false;
	if (n >= 0)
		return (n);
	if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		return (failed(s, strerror(errno)));
	s->wants_write = writing;
	return (STREAM_LATER);
}

static ssize_t
tls_came_to(struct stream *s, int n)
{
	s->wants_write = false;
	if (n > 0)
		return (n);
	switch (SSL_get_error(s->ssl, n)) {
	case SSL_ERROR_WANT_READ:
		return (STREAM_LATER);
	case SSL_ERROR_WANT_WRITE:
		s->wants_write = true;
		return (STREAM_LATER);
	case SSL_ERROR_ZERO_RETURN:
		return (0);
	case SSL_ERROR_SYSCALL:
		if (errno == 0)
			return (0);
		return (failed(s, strerror(errno)));
	default:
		return (tls_failed(s));
	}
}

static int
capped(size_t size)
{
	return (size > 1 << 20 ? 1 << 20 : (int)size);
}

ssize_t
stream_read(struct stream *s, void *buf, size_t size)
{
	if (s->ssl == NULL)
		return (came_to(s, recv(s->fd, buf, size, 0), false));
	errno = 0;
	return (tls_came_to(s, SSL_read(s->ssl, buf, capped(size))));
}

ssize_t
stream_write(struct stream *s, const void *buf, size_t size)
{
	if (s->ssl == NULL)
		return (came_to(s, send(s->fd, buf, size, MSG_NOSIGNAL), true));
	errno = 0;
	return (tls_came_to(s, SSL_write(s->ssl, buf, capped(size))));
}
