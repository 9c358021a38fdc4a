/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <string.h>

#include "log.h"
#include "netaddr.h"
#include "place.h"
#include "tls.h"

SSL_CTX *
tls_new(const char *ca)
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

void
tls_free(SSL_CTX *tls)
{
	SSL_CTX_free(tls);
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
expect_name(SSL *ssl, const char *name)
{
	struct netaddr na;

	if (netaddr_parse(name, &na))
		return (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl),
			    name) == 1);
	return (SSL_set_tlsext_host_name(ssl, name) == 1 &&
	    SSL_set1_host(ssl, name) == 1);
}

SSL *
tls_begin(SSL_CTX *tls, int fd, const char *name, const struct places *places)
{
	SSL *ssl = SSL_new(tls);

	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 ||
	    SSL_set_ex_data(ssl, 0, (void *)(uintptr_t)places) != 1 ||
	    !expect_name(ssl, name)) {
		SSL_free(ssl);
		return (NULL);
	}
	SSL_set_connect_state(ssl);
	SSL_set_verify(ssl, SSL_VERIFY_PEER, on_verify);
	return (ssl);
}

void
tls_end(SSL *ssl)
{
	SSL_free(ssl);
}

bool
tls_pending(const SSL *ssl)
{
	return (SSL_pending(ssl) > 0);
}

static ssize_t
failed(struct stream_stop *stop, const char *why)
{
	strlcpy(stop->error, why, sizeof(stop->error));
	return (STREAM_FAILED);
}

/* What TLS failed of: a certificate that does not fit, by its name. */
static ssize_t
tls_failed(const SSL *ssl, struct stream_stop *stop)
{
	long	    verified = SSL_get_verify_result(ssl);
	const char *why = ERR_reason_error_string(ERR_peek_error());

	if (verified != X509_V_OK)
		why = X509_verify_cert_error_string(verified);
	ERR_clear_error();
	return (failed(stop, why != NULL ? why : "TLS failed"));
}

static ssize_t
came_to(const SSL *ssl, int n, struct stream_stop *stop)
{
	stop->wants_write = false;
	if (n > 0)
		return (n);
	switch (SSL_get_error(ssl, n)) {
	case SSL_ERROR_WANT_READ:
		return (STREAM_LATER);
	case SSL_ERROR_WANT_WRITE:
		stop->wants_write = true;
		return (STREAM_LATER);
	case SSL_ERROR_ZERO_RETURN:
		return (0);
	case SSL_ERROR_SYSCALL:
		if (errno == 0)
			return (0);
		return (failed(stop, strerror(errno)));
	default:
		return (tls_failed(ssl, stop));
	}
}

static int
capped(size_t size)
{
	return (size > 1 << 20 ? 1 << 20 : (int)size);
}

ssize_t
tls_read(SSL *ssl, void *buf, size_t size, struct stream_stop *stop)
{
	errno = 0;
	return (came_to(ssl, SSL_read(ssl, buf, capped(size)), stop));
}

ssize_t
tls_write(SSL *ssl, const void *buf, size_t size, struct stream_stop *stop)
{
	errno = 0;
	return (came_to(ssl, SSL_write(ssl, buf, capped(size)), stop));
}
