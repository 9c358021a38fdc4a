/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "key.h"
#include "session.h"
#include "userlog.h"
#include "utc.h"
#include "writequeue.h"
#include "xadd.h"

/* The message's part of an entry, in buffers that the caller holds. */
struct tx_text {
	char msgid[16];
	char recipients[24];
	char suppressed[24];
};

static void
add_tx(struct xadd *line, const struct tx *tx, struct tx_text *text)
{
	if (tx->msgid != 0) {
		snprintf(text->msgid, sizeof(text->msgid), "%08" PRIx32,
		    tx->msgid);
		xadd_field(line, "msgid", text->msgid);
	}
	xadd_field(line, "sender", tx->sender[0] != '\0' ? tx->sender : "<>");
}

static void
add_message(struct xadd *line, const struct tx *tx, struct tx_text *text)
{
	snprintf(text->recipients, sizeof(text->recipients), "%zu",
	    tx->recipients);
	xadd_field(line, "recipients", text->recipients);
	if (tx->suppressed > 0) {
		snprintf(text->suppressed, sizeof(text->suppressed), "%zu",
		    tx->suppressed);
		xadd_field(line, "suppressed", text->suppressed);
	}
	xadd_field(line, "message_id", tx->header.message_id);
}

static bool
is_failed_login(const struct userlog_entry *entry)
{
	return (strcmp(entry->event, "login") == 0 &&
	    strcmp(entry->result, "accepted") != 0);
}

void
userlog_add(struct writequeue *writequeue, const char *prefix,
    const struct session *s, const char *name,
    const struct userlog_entry *entry)
{
	char	       key[KEY_TEXT], session[24], bytes[24];
	char	       source[NETADDR_TEXT];
	struct tx_text text;
	char	       last[KEY_TEXT], now[UTC_TEXT];
	struct xadd    line;
	const char    *use[] = { "HSET", last, entry->event, now };
	struct command commands[] = { { 0, 1, line.v }, { 4, 1, use } };
	bool	       used = strcmp(entry->result, "accepted") == 0;

	key_user(key, prefix, name, is_failed_login(entry) ? "failed" : "log");
	xadd_begin(&line, key, USERLOG_MAX);
	snprintf(session, sizeof(session), "%016" PRIx64, s->id);
	xadd_field(&line, "event", entry->event);
	xadd_field(&line, "result", entry->result);
	xadd_field(&line, "reply", entry->reply);
	xadd_field(&line, "source", session_source(s, source));
	xadd_field(&line, "session", session);
	if (s->tx != NULL && strcmp(entry->event, "login") != 0)
		add_tx(&line, s->tx, &text);
	xadd_field(&line, "recipient", entry->recipient);
	if (s->tx != NULL && strcmp(entry->event, "message") == 0)
		add_message(&line, s->tx, &text);
	if (entry->size >= 0) {
		snprintf(bytes, sizeof(bytes), "%" PRId64, entry->size);
		xadd_field(&line, "size", bytes);
	}
	xadd_field(&line, "report", entry->report);
	commands[0].argc = line.n;
	key_user(last, prefix, name, "last");
	utc_text(time(NULL), now);
	writequeue_add(writequeue, WRITEQUEUE_WORDS, name, used ? 2 : 1,
	    commands);
}
