/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef FAILURES_H
#define FAILURES_H

#include <stdbool.h>

struct conf;
struct failures_query;
struct functions;
struct netaddr;
struct recent;

/*
 * Failed logins, counted in Redis for each source by
 * scripts/functions/11-failures.lua, so that all relays know of them.  A source
 * is an IPv4 address or the /64 that an IPv6 address is in, of which a host
 * can take any.
 */

/* Seconds between two lines of the log about a source. */
#define FAILURES_LOG_PAUSE 600

/* Sources of which it is known when they were logged. */
#define FAILURES_LOGGED 4096

/* What they are counted with; all must outlive the queries. */
struct failures {
	const struct conf *conf;
	struct functions  *functions;
	struct recent	  *logged; /* sources */
};

enum failures_result {
	FAILURES_FEW,
	FAILURES_MANY,
	FAILURES_UNREAD /* Redis gives no answer */
};

typedef void (*failures_cb)(void *, enum failures_result);

/*
 * Asks whether a source has failed too often by now.  Calls back exactly once,
 * from the event loop.  NULL, without a callback, when Redis cannot be
 * asked.
 */
struct failures_query *failures_ask(const struct failures *,
    const struct netaddr *source, failures_cb, void *);

/* Cancels it: the callback is not called. */
void failures_cancel(struct failures_query *);

/* Counts a login from the source: one that failed, or one that was right. */
void failures_count(const struct failures *, const struct netaddr *source,
    bool failed);

/*
 * Whether to log that the source is refused: once in a while, for it will come
 * again and again.
 */
bool failures_worth_logging(const struct failures *, const struct netaddr *);

#endif /* FAILURES_H */
