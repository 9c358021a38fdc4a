/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "conf.h"
#include "filter.h"
#include "journal.h"
#include "session.h"
#include "userlog.h"
#include "utc.h"

#define ARGS_MAX 32
#define KEY_MAX 256

struct args {
	int	    n;
	const char *v[ARGS_MAX];
};

static void
add(struct args *args, const char *name, const char *value)
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
};

static void
add_tx(struct args *args, const struct tx *tx, struct tx_text *text)
{
	if (tx->msgid != 0) {
		snprintf(text->msgid, sizeof(text->msgid), "%08" PRIx32,
		    tx->msgid);
		add(args, "message", text->msgid);
	}
	add(args, "sender", tx->sender[0] != '\0' ? tx->sender : "<>");
	snprintf(text->recipients, sizeof(text->recipients), "%zu",
	    tx->recipients);
	add(args, "recipients", text->recipients);
	add(args, "message_id", tx->header.message_id);
}

void
userlog_add(struct filter *f, const struct session *s, const char *name,
    const char *event, const char *result, const char *reply,
    const char *report, int64_t size)
{
	char	       key[KEY_MAX], max[16], session[24], bytes[24];
	char	       source[NETADDR_TEXT];
	struct tx_text text;
	char	       last[KEY_MAX], now[UTC_TEXT];
	struct args    args = { .n = 6,
		   .v = { "XADD", key, "MAXLEN", "~", max, "*" } };
	const char    *use[] = { "HSET", last, event, now };
	struct command commands[] = { { 0, args.v }, { 4, use } };
	bool	       used = strcmp(result, "accepted") == 0;

	snprintf(key, sizeof(key), "%suser:{%s}:log", f->conf->prefix, name);
	snprintf(max, sizeof(max), "%d", USERLOG_MAX);
	snprintf(session, sizeof(session), "%016" PRIx64, s->id);
	add(&args, "event", event);
	add(&args, "result", result);
	add(&args, "reply", reply);
	add(&args, "source", session_source(s, source));
	add(&args, "session", session);
	if (s->tx != NULL && strcmp(event, "message") == 0)
		add_tx(&args, s->tx, &text);
	if (size >= 0) {
		snprintf(bytes, sizeof(bytes), "%" PRId64, size);
		add(&args, "size", bytes);
	}
	add(&args, "report", report);
	commands[0].argc = args.n;
	snprintf(last, sizeof(last), "%suser:{%s}:last", f->conf->prefix, name);
	utc_text(time(NULL), now);
	journal_write(f->journal, used ? 2 : 1, commands);
}
