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
 * The callback comes from the event loop, once or more after each wake_up(), and
 * once for several of them.  It may free the wake.  NULL when there is no
 * memory or no descriptor left.
 */
struct wake *wake_new(struct event_base *, void (*)(void *), void *arg);

/* May be called by any thread; never waits. */
void wake_up(struct wake *);

/* No thread may call wake_up() any more; NULL is nothing. */
void wake_free(struct wake *);

#endif /* WAKE_H */
