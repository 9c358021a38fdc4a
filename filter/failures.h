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
 * Failed logins of each source.  scripts/functions/11-failures.lua counts them
 * in Redis for all relays together.  A source is an IPv4 address, or the /64 of
 * an IPv6 address, since a host can use any address in it.
 */

/* Seconds between two lines of the log about a source. */
#define FAILURES_LOG_PAUSE 600

/* How many sources this is remembered of. */
#define FAILURES_LOGGED 4096

/* What they are counted with; all must outlive the queries. */
struct failures {
	const struct conf *conf;
	struct functions  *functions;
	struct recent	  *logged; /* sources, and keys */
};

enum failures_result {
	FAILURES_FEW,
	FAILURES_MANY,
	FAILURES_UNREAD /* Redis gives no answer */
};

typedef void (*failures_cb)(void *, enum failures_result);

/*
 * Asks whether logins of a source have failed too often.  Calls back exactly
 * once, from the event loop.  NULL, without a callback, when Redis is
 * unreachable.
 */
struct failures_query *failures_ask(const struct failures *,
    const struct netaddr *source, failures_cb, void *);

/* Cancels it: the callback is not called. */
void failures_cancel(struct failures_query *);

/* Counts a failed or a successful login from the source.  Never waits. */
void failures_count(const struct failures *, const struct netaddr *source,
    bool failed);

/*
 * Whether to log that the source is refused: at most once in
 * FAILURES_LOG_PAUSE, since it will come again and again.
 */
bool failures_worth_logging(const struct failures *, const struct netaddr *);

#endif /* FAILURES_H */
