/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef RESOLVE_H
#define RESOLVE_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct resolve;

/*
 * The addresses of a host, as getaddrinfo(3) knows them and in its order: from
 * the hosts file, the DNS, or whatever else the system is set up to ask.  Since
 * that may take its time, it is asked in a thread of its own.
 */

/* Most addresses that are taken of one host. */
#define RESOLVE_MAX 16

struct resolve_address {
	struct sockaddr_storage sa; /* with the port */
	socklen_t		len;
};

/*
 * The addresses, which are gone when it returns; NULL, and why, when there are
 * none.
 */
typedef void (*resolve_cb)(void *, const struct resolve_address *, size_t,
    const char *error);

/*
 * Asks for a host.  The callback comes once, from the event loop.  NULL, without
 * a callback, when no thread can be started.
 */
struct resolve *resolve_start(struct event_base *, const char *, uint16_t port,
    resolve_cb, void *);

/* Reads what is an address already, as text; false when it is not. */
bool resolve_numeric(const char *, uint16_t port, struct resolve_address *);

/*
 * Cancels it: the callback is not called.  The thread ends by itself, when it
 * can.
 */
void resolve_cancel(struct resolve *);

#endif /* RESOLVE_H */
