/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef RESOLVE_H
#define RESOLVE_H

struct event_base;
struct resolve;

/*
 * The address of a host, as getaddrinfo(3) knows it: from the hosts file, the
 * DNS, or whatever else the system is set up to ask.  Since that may take its
 * time, it is asked in a thread of its own.
 */

/* The first address, as text; NULL, and why, when there is none. */
typedef void (*resolve_cb)(void *, const char *address, const char *error);

/*
 * Asks for a host.  The callback comes once, from the event loop.  NULL, with
 * no callback to come, when no thread can be started.
 */
struct resolve *
resolve_start(struct event_base *, const char *, resolve_cb, void *);

/* Makes the callback not come.  The thread ends by itself, when it can. */
void resolve_cancel(struct resolve *);

#endif /* RESOLVE_H */
