/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/socket.h>
#include <sys/types.h>

#include <bsd/string.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolve.h"
#include "wake.h"

struct resolve {
	pthread_mutex_t	       lock;	  /* guards done and abandoned */
	bool		       done;	  /* the thread has ended */
	bool		       abandoned; /* nobody waits: the thread frees */
	struct wake	      *wake;
	resolve_cb	       cb;
	void		      *arg;
	int		       error; /* of getaddrinfo(3) */
	size_t		       n;
	struct resolve_address address[RESOLVE_MAX];
	uint16_t	       port;
	char		       host[NI_MAXHOST];
};

static void
free_resolve(struct resolve *r)
{
	wake_free(r->wake);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* Writes up to most addresses, and how many; an error of getaddrinfo(3). */
static int
look_up(const char *host, uint16_t port, int flags,
    struct resolve_address *address, size_t most, size_t *n)
{
	const struct addrinfo hints = { .ai_flags = flags | AI_NUMERICSERV,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo	     *all = NULL, *ai;
	char		      service[8];
	int		      error;

	snprintf(service, sizeof(service), "%u", port);
	error = getaddrinfo(host, service, &hints, &all);
	*n = 0;
	if (error != 0)
		return (error);
	for (ai = all; ai != NULL && *n < most; ai = ai->ai_next) {
		memcpy(&address[*n].sa, ai->ai_addr, ai->ai_addrlen);
		address[(*n)++].len = ai->ai_addrlen;
	}
	freeaddrinfo(all);
	return (0);
}

bool
resolve_numeric(const char *host, uint16_t port,
    struct resolve_address *address)
{
	size_t n;

	return (look_up(host, port, AI_NUMERICHOST, address, 1, &n) == 0);
}

static void *
resolve_names(void *arg)
{
	struct resolve *r = arg;
	bool		abandoned;

	r->error = look_up(r->host, r->port, 0, r->address, RESOLVE_MAX, &r->n);
	pthread_mutex_lock(&r->lock);
	r->done = true;
	abandoned = r->abandoned;
	/* While the lock is held, nobody can free it. */
	if (!abandoned)
		wake_up(r->wake);
	pthread_mutex_unlock(&r->lock);
	if (abandoned)
		free_resolve(r);
	return (NULL);
}

static void
on_thread_done(void *arg)
{
	struct resolve *r = arg;

	/* The thread lets go of the lock last of all. */
	pthread_mutex_lock(&r->lock);
	pthread_mutex_unlock(&r->lock);
	if (r->error == 0)
		r->cb(r->arg, r->address, r->n, NULL);
	else
		r->cb(r->arg, NULL, 0, gai_strerror(r->error));
	free_resolve(r);
}

static bool
start_thread(struct resolve *r)
{
	pthread_attr_t attr;
	pthread_t      thread;
	bool	       ok;

	if (pthread_attr_init(&attr) != 0)
		return (false);
	ok = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0 &&
	    pthread_create(&thread, &attr, resolve_names, r) == 0;
	pthread_attr_destroy(&attr);
	return (ok);
}

struct resolve *
resolve_start(struct event_base *base, const char *host, uint16_t port,
    resolve_cb cb, void *arg)
{
	struct resolve *r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return (NULL);
	pthread_mutex_init(&r->lock, NULL);
	r->cb = cb;
	r->arg = arg;
	r->port = port;
	strlcpy(r->host, host, sizeof(r->host));
	r->wake = wake_new(base, on_thread_done, r);
	if (r->wake == NULL || !start_thread(r)) {
		free_resolve(r);
		return (NULL);
	}
	return (r);
}

void
resolve_cancel(struct resolve *r)
{
	bool done;

	pthread_mutex_lock(&r->lock);
	r->abandoned = true;
	done = r->done;
	wake_free(r->wake);
	r->wake = NULL;
	pthread_mutex_unlock(&r->lock);
	if (done)
		free_resolve(r);
}
