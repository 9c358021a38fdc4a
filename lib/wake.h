/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef WAKE_H
#define WAKE_H

/* How a thread tells the event loop that there is something to look at. */
struct event_base;
struct wake;

/*
 * The callback is called from the event loop after each wake_up(), perhaps once
 * for several.  It may free the wake.  NULL when there is no memory or no
 * descriptor left.
 */
struct wake *wake_new(struct event_base *, void (*)(void *), void *arg);

/* May be called by any thread; never waits. */
void wake_up(struct wake *);

/* Frees it; NULL is allowed.  No thread may call wake_up() any more. */
void wake_free(struct wake *);

#endif /* WAKE_H */
