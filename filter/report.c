/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf.h"
#include "key.h"
#include "monotonic.h"
#include "report.h"
#include "servers.h"
#include "session.h"
#include "user.h"
#include "utc.h"
#include "writequeue.h"

#define FIELDS 12
#define FROM_TEXT 1024 /* of the From header, in a report */
#define URL_NAME (3 * USER_NAME_MAX + 1)

struct report_query {
	const struct reports *reports;
	report_cb	      cb;
	void		     *arg;
	struct report_query **slot;
	struct servers_req   *req;
	char		      id[REPORT_ID + 1];
	char		      key[KEY_TEXT];
	char		      user[USER_NAME_MAX + 1];
	char		      account[USER_NAME_MAX + 1];
};

static void
copy_from(const struct header *h, char buf[FROM_TEXT])
{
	size_t len = h->fromlen < FROM_TEXT ? h->fromlen : FROM_TEXT - 1;

	if (len > 0)
		memcpy(buf, h->from, len);
	buf[len] = '\0';
}

static const char *
text_or_none(const char *text)
{
	return (text != NULL ? text : "");
}

/* It is there, or may be: it goes in its time. */
static void
let_expire(const struct report_query *q)
{
	char	       ttl[16];
	const char    *expire[] = { "EXPIRE", q->key, ttl };
	struct command command = { 3, 1, expire };

	snprintf(ttl, sizeof(ttl), "%d", REPORT_DAYS * 86400);
	writequeue_add(q->reports->writequeue, WRITEQUEUE_WORDS, q->user, 1,
	    &command);
}

static void
conclude_report(struct report_query *q, bool there)
{
	*q->slot = NULL;
	q->cb(q->arg, there ? q->id : NULL);
	free(q);
}

static void
conclude_unwritten(struct report_query *q)
{
	reportids_failed(q->reports->ids, q->user, q->account);
	conclude_report(q, false);
}

static void
on_report_written(void *arg, const redisReply *reply)
{
	struct report_query *q = arg;

	q->req = NULL;
	if (reply != NULL && reply->type == REDIS_REPLY_ERROR) {
		conclude_unwritten(q);
		return;
	}
	let_expire(q);
	if (reply == NULL) {
		conclude_unwritten(q);
		return;
	}
	reportids_written(q->reports->ids, q->user, q->id);
	conclude_report(q, true);
}

static void
send_report(struct report_query *q, const struct session *s,
    const struct report *report)
{
	const struct tx *tx = s->tx;
	char		 now[UTC_TEXT], msgid[16] = "";
	char		 source[NETADDR_TEXT], from[FROM_TEXT];
	const char	*hset[2 + 2 * FIELDS] = { "HSET", q->key, "time", now,
		     "relay", q->reports->conf->relay_name, "user", report->user,
		     "account", text_or_none(report->account), "reason",
		     reason_name(report->reason), "domain",
		     text_or_none(report->domain), "spf", text_or_none(report->spf),
		     "envelope_sender", tx->sender, "from", from, "source",
		     session_source(s, source), "message_id", tx->header.message_id,
		     "msgid", msgid };

	utc_text(time(NULL), now);
	copy_from(&tx->header, from);
	if (tx->msgid != 0)
		snprintf(msgid, sizeof(msgid), "%08" PRIx32, tx->msgid);
	q->req = servers_send(q->reports->servers, q->key, on_report_written, q,
	    2 + 2 * FIELDS, hset);
	if (q->req == NULL)
		conclude_unwritten(q);
}

void
report_write(const struct reports *reports, const struct session *s,
    const struct report *report, report_cb cb, void *arg,
    struct report_query **slot)
{
	struct report_query *q;

	if ((q = calloc(1, sizeof(*q))) == NULL) {
		cb(arg, NULL);
		return;
	}
	q->reports = reports;
	q->cb = cb;
	q->arg = arg;
	q->slot = slot;
	*slot = q;
	strlcpy(q->user, report->user, sizeof(q->user));
	strlcpy(q->account, text_or_none(report->account), sizeof(q->account));
	if (!reportids_draw(reports->ids, q->user, q->account, monotonic_s(),
		q->id)) {
		conclude_report(q, true);
		return;
	}
	key_report(q->key, reports->conf->prefix, q->id);
	send_report(q, s, report);
}

void
report_cancel(struct report_query *q)
{
	servers_cancel(q->req);
	let_expire(q);
	free(q);
}

/* RFC 3986, 2.3: in a name nothing but "+" needs it. */
static void
encode_name(const char *name, char buf[URL_NAME])
{
	size_t n = 0;

	for (; *name != '\0' && n < URL_NAME - 3; name++)
		if (*name == '+')
			n += (size_t)snprintf(buf + n, URL_NAME - n, "%%2B");
		else
			buf[n++] = *name;
	buf[n] = '\0';
}

const char *
report_reply(const struct conf *conf, const char *id, const char *user,
    char buf[REPORT_REPLY])
{
	char name[URL_NAME];

	encode_name(user, name);
	snprintf(buf, REPORT_REPLY,
	    "550 5.7.1 [ACL] Blocked. See "
	    "%s?id=%s&auth=%s",
	    conf->report_url, id, name);
	return (buf);
}
