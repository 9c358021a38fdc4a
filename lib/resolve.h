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
 * Looks up the addresses of a host by getaddrinfo(3), in its order.  That may
 * block, so each lookup has a thread of its own.
 */

/* Most addresses of one host; further ones are ignored. */
#define RESOLVE_MAX 16

struct resolve_address {
	struct sockaddr_storage sa; /* with the port */
	socklen_t		len;
};

/*
 * Gets the addresses, which are freed when it returns; or NULL and the reason.
 */
typedef void (*resolve_cb)(void *, const struct resolve_address *, size_t,
    const char *error);

/*
 * Looks up a host.  The callback is called once, from the event loop.  NULL,
 * without a callback, when no thread can be started.
 */
struct resolve *resolve_start(struct event_base *, const char *, uint16_t port,
    resolve_cb, void *);

/* Converts an address in text without a lookup; false if it is none. */
bool resolve_numeric(const char *, uint16_t port, struct resolve_address *);

/*
 * Cancels it: the callback is not called.  The thread ends by itself when the
 * lookup does.
 */
void resolve_cancel(struct resolve *);

#endif /* RESOLVE_H */
