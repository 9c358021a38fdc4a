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

#define ARGS_MAX 32

struct args {
	int	    n;
	const char *v[ARGS_MAX];
};

static void
add_field(struct args *args, const char *name, const char *value)
{
	if (value == NULL || value[0] == '\0')
		return;
	args->v[args->n++] = name;
	args->v[args->n++] = value;
}

/* The message's part of an entry, in buffers that the caller holds. */
struct tx_text {
	char msgid[16];
	char recipients[24];
	char suppressed[24];
};

static void
add_tx(struct args *args, const struct tx *tx, struct tx_text *text)
{
	if (tx->msgid != 0) {
		snprintf(text->msgid, sizeof(text->msgid), "%08" PRIx32,
		    tx->msgid);
		add_field(args, "msgid", text->msgid);
	}
	add_field(args, "sender", tx->sender[0] != '\0' ? tx->sender : "<>");
}

static void
add_message(struct args *args, const struct tx *tx, struct tx_text *text)
{
	snprintf(text->recipients, sizeof(text->recipients), "%zu",
	    tx->recipients);
	add_field(args, "recipients", text->recipients);
	if (tx->suppressed > 0) {
		snprintf(text->suppressed, sizeof(text->suppressed), "%zu",
		    tx->suppressed);
		add_field(args, "suppressed", text->suppressed);
	}
	add_field(args, "message_id", tx->header.message_id);
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
	char	       key[KEY_TEXT], max[16], session[24], bytes[24];
	char	       source[NETADDR_TEXT];
	struct tx_text text;
	char	       last[KEY_TEXT], now[UTC_TEXT];
	struct args    args = { .n = 6,
		   .v = { "XADD", key, "MAXLEN", "~", max, "*" } };
	const char    *use[] = { "HSET", last, entry->event, now };
	struct command commands[] = { { 0, 1, args.v }, { 4, 1, use } };
	bool	       used = strcmp(entry->result, "accepted") == 0;

	key_user(key, prefix, name, is_failed_login(entry) ? "failed" : "log");
	snprintf(max, sizeof(max), "%d", USERLOG_MAX);
	snprintf(session, sizeof(session), "%016" PRIx64, s->id);
	add_field(&args, "event", entry->event);
	add_field(&args, "result", entry->result);
	add_field(&args, "reply", entry->reply);
	add_field(&args, "source", session_source(s, source));
	add_field(&args, "session", session);
	if (s->tx != NULL && strcmp(entry->event, "login") != 0)
		add_tx(&args, s->tx, &text);
	add_field(&args, "recipient", entry->recipient);
	if (s->tx != NULL && strcmp(entry->event, "message") == 0)
		add_message(&args, s->tx, &text);
	if (entry->size >= 0) {
		snprintf(bytes, sizeof(bytes), "%" PRId64, entry->size);
		add_field(&args, "size", bytes);
	}
	add_field(&args, "report", entry->report);
	commands[0].argc = args.n;
	key_user(last, prefix, name, "last");
	utc_text(time(NULL), now);
	writequeue_add(writequeue, WRITEQUEUE_WORDS, name, used ? 2 : 1,
	    commands);
}
