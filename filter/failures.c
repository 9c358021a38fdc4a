/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "failures.h"
#include "functions.h"
#include "key.h"
#include "log.h"
#include "netaddr.h"
#include "recent.h"

#define ARGS 4

struct failures_query {
	const struct failures *failures;
	struct servers_req    *req;
	failures_cb	       cb;
	void		      *arg;
	char		       key[KEY_TEXT];
};

/* The arguments of the functions. */
struct call {
	char	    key[KEY_TEXT];
	char	    known[KEY_TEXT];
	char	    limit[24];
	char	    period[24];
	const char *argv[ARGS];
};

static void
make_call(const struct failures *failures, const struct netaddr *source,
    struct call *call)
{
	const struct conf *conf = failures->conf;
	struct netaddr	   host = netaddr_host(source);

	key_failures(call->key, conf->prefix, &host, "");
	key_failures(call->known, conf->prefix, &host, "known");
	snprintf(call->limit, sizeof(call->limit), "%" PRId64,
	    conf->auth_failures);
	snprintf(call->period, sizeof(call->period), "%" PRId64,
	    conf->auth_failures_period);
	call->argv[0] = call->key;
	call->argv[1] = call->known;
	call->argv[2] = call->limit;
	call->argv[3] = call->period;
}

/* Nobody else says it: it is the record's fault, and not that of Redis. */
static void
log_bad_key(const struct failures_query *q, const redisReply *reply)
{
	const char *const key = q->key;

	if (reply->type == REDIS_REPLY_ERROR &&
	    strncmp(reply->str, "WRONGTYPE", 9) == 0 &&
	    recent_add_new(q->failures->logged, 1, &key))
		log_warnx("%s: this or %s:known has the wrong type; who "
			  "connects from there is deferred until it is deleted",
		    key, key);
}

/* How many seconds it is refused; 0: not now. */
static void
on_failures_reply(void *arg, const redisReply *reply)
{
	struct failures_query *q = arg;
	enum failures_result   result = FAILURES_UNREAD;

	q->req = NULL;
	if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
		result = reply->integer == 0 ? FAILURES_FEW : FAILURES_MANY;
	else if (!functions_lost(q->failures->functions, q->key, reply) &&
	    reply != NULL)
		log_bad_key(q, reply);
	q->cb(q->arg, result);
	free(q);
}

struct failures_query *
failures_ask(const struct failures *failures, const struct netaddr *source,
    failures_cb cb, void *arg)
{
	struct failures_query *q;
	struct call	       call;

	if ((q = calloc(1, sizeof(*q))) == NULL)
		return (NULL);
	make_call(failures, source, &call);
	q->failures = failures;
	q->cb = cb;
	q->arg = arg;
	snprintf(q->key, sizeof(q->key), "%s", call.key);
	q->req = functions_call(failures->functions, on_failures_reply, q,
	    "smtpusers_failures", 2, ARGS, call.argv);
	if (q->req != NULL)
		return (q);
	free(q);
	return (NULL);
}

void
failures_cancel(struct failures_query *q)
{
	if (q->req != NULL)
		servers_cancel(q->req);
	free(q);
}

void
failures_count(const struct failures *failures, const struct netaddr *source,
    bool failed)
{
	struct call call;

	if (failures->conf->auth_failures == 0 || source->len == 0)
		return;
	make_call(failures, source, &call);
	functions_call(failures->functions, NULL, NULL,
	    failed ? "smtpusers_login_failed" : "smtpusers_login_passed", 2,
	    ARGS, call.argv);
}

bool
failures_worth_logging(const struct failures *failures,
    const struct netaddr		     *source)
{
	struct netaddr host = netaddr_host(source);
	char	       text[NETADDR_TEXT];
	const char    *string = netaddr_text(&host, text);

	return (recent_add_new(failures->logged, 1, &string));
}
