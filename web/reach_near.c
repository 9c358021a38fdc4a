/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * Linked in front of the libraries, this takes the place of what has names
 * resolved and speaks TLS, so that nothing of either is in the program.
 */

#include <sys/types.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <limits.h>
#include <netdb.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "log.h"
#include "place.h"
#include "reach.h"
#include "resolve.h"
#include "sandbox.h"
#include "self.h"
#include "tls.h"

#define FULL "report-full.cgi"

static bool
is_near(const struct places *places)
{
	struct resolve_address address;
	const struct place    *at = &places->at[0];

	if (places->topology != REDIS_ONE)
		return (false);
	return (at->transport == REDIS_UNIX ||
	    (at->transport == REDIS_TCP &&
		resolve_numeric(at->host, at->port, &address)));
}

bool
reach_redis(const struct conf *conf)
{
	char full[PATH_MAX];

	if (is_near(&conf->places))
		return (true);
	if (self_beside(full, sizeof(full), FULL))
		execl(full, FULL, (char *)NULL);
	log_err("cannot run %s, which is to be beside this program", FULL);
	return (false);
}

bool
reach_confine(void)
{
#ifdef __SANITIZE_ADDRESS__
	return (sandbox_program()); /* the search for leaks opens files */
#else
	return (sandbox_page());
#endif
}

bool
resolve_numeric(const char *host, uint16_t port,
    struct resolve_address *address)
{
	struct sockaddr_in  *in = (struct sockaddr_in *)&address->sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address->sa;

	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		address->len = sizeof(*in);
		return (true);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	address->len = sizeof(*in6);
	return (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1);
}

struct resolve *
resolve_start(struct event_base *base, const char *host, uint16_t port,
    resolve_cb cb, void *arg)
{
	(void)base;
	(void)host;
	(void)port;
	(void)cb;
	(void)arg;
	return (NULL);
}

void
resolve_cancel(struct resolve *r)
{
	(void)r;
}

/* What the libraries would ask the system for, and are not asked for here. */

int
getaddrinfo(const char *restrict host, const char *restrict service,
    const struct addrinfo *restrict hints, struct addrinfo **restrict all)
{
	(void)host;
	(void)service;
	(void)hints;
	(void)all;
	return (EAI_FAIL);
}

void
freeaddrinfo(struct addrinfo *all)
{
	(void)all;
}

struct servent *
getservbyname(const char *name, const char *protocol)
{
	(void)name;
	(void)protocol;
	return (NULL);
}

struct protoent *
getprotobynumber(int number)
{
	(void)number;
	return (NULL);
}

struct passwd *
getpwnam(const char *name)
{
	(void)name;
	return (NULL);
}

struct passwd *
getpwuid(uid_t uid)
{
	(void)uid;
	return (NULL);
}

SSL_CTX *
tls_new(const char *ca)
{
	(void)ca;
	return (NULL);
}

void
tls_free(SSL_CTX *tls)
{
	(void)tls;
}

SSL *
tls_begin(SSL_CTX *tls, int fd, const char *name, const struct places *places)
{
	(void)tls;
	(void)fd;
	(void)name;
	(void)places;
	return (NULL);
}

void
tls_end(SSL *ssl)
{
	(void)ssl;
}

ssize_t
tls_read(SSL *ssl, void *buf, size_t size, struct stream_stop *stop)
{
	(void)ssl;
	(void)buf;
	(void)size;
	(void)stop;
	return (STREAM_FAILED);
}

ssize_t
tls_write(SSL *ssl, const void *buf, size_t size, struct stream_stop *stop)
{
	(void)ssl;
	(void)buf;
	(void)size;
	(void)stop;
	return (STREAM_FAILED);
}

bool
tls_pending(const SSL *ssl)
{
	(void)ssl;
	return (false);
}
