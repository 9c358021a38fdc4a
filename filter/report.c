/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conf.h"
#include "journal.h"
#include "key.h"
#include "report.h"
#include "session.h"
#include "utc.h"

#define ARGS_MAX 32
#define FROM_TEXT 1024 /* of the From header, in a report */
#define RELAY_TEXT 256

static time_t
monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (ts.tv_sec);
}

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

void
report_write(struct journal *journal, struct reportids *ids,
    const struct conf *conf, const struct session *s,
    const struct report *report, char id[REPORT_ID + 1])
{
	const struct tx *tx = s->tx;
	char		 key[KEY_TEXT], now[UTC_TEXT], relay[RELAY_TEXT] = "";
	char		 source[NETADDR_TEXT], from[FROM_TEXT], msgid[16] = "";
	char		 ttl[16];
	const char *hset[ARGS_MAX] = { "HSET", key, "time", now, "relay", relay,
		"user", report->user, "account", text_or_none(report->account),
		"reason", reason_name(report->reason), "domain",
		text_or_none(report->domain), "spf", text_or_none(report->spf),
		"envelope_sender", tx->sender, "from", from, "source",
		session_source(s, source), "message_id", tx->header.message_id,
		"message", msgid };
	const char *expire[] = { "EXPIRE", key, ttl };
	struct command commands[2] = { { 26, 1, hset }, { 3, 1, expire } };

	if (!reportids_draw(ids, report->user, monotonic(), id))
		return;
	key_report(key, conf->prefix, id);
	snprintf(ttl, sizeof(ttl), "%d", REPORT_DAYS * 86400);
	utc_text(time(NULL), now);
	if (gethostname(relay, sizeof(relay) - 1) == -1)
		relay[0] = '\0';
	copy_from(&tx->header, from);
	if (tx->msgid != 0)
		snprintf(msgid, sizeof(msgid), "%08" PRIx32, tx->msgid);
	journal_write(journal, 2, commands);
}

const char *
report_reply(const struct conf *conf, const char *id, const char *user,
    char buf[REPORT_REPLY])
{
	snprintf(buf, REPORT_REPLY,
	    "550 5.7.1 [ACL] Blocked. See "
	    "%s?id=%s&auth=%s",
	    conf->report_url, id, user);
	return (buf);
}
