/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "tally.h"

struct session *
session_find(const struct sessions *ss, uint64_t id)
{
	struct session *s;

	HASH_FIND(hh, ss->byid, &id, sizeof(id), s);
	return (s);
}

static void
set_source(struct session *s, const char *text)
{
	char   addr[NETADDR_TEXT + 2];
	size_t len;

	if (strncmp(text, "unix:", 5) == 0) {
		s->local = true;
		return;
	}
	if (strrchr(text, ':') == NULL)
		return;
	len = (size_t)(strrchr(text, ':') - text);
	if (len >= sizeof(addr))
		return;
	memcpy(addr, text, len);
	addr[len] = '\0';
	if (!netaddr_parse(addr, &s->source))
		memset(&s->source, 0, sizeof(s->source));
}

struct session *
session_open(struct sessions *ss, uint64_t id, const char *source)
{
	struct session *s;

	if (HASH_COUNT(ss->byid) >= SESSION_MAX ||
	    (s = calloc(1, sizeof(*s))) == NULL)
		return (NULL);
	s->id = id;
	LIST_INIT(&s->requests);
	set_source(s, source);
	HASH_ADD(hh, ss->byid, id, sizeof(s->id), s);
	if (s->hh.tbl == NULL) {
		free(s);
		return (NULL);
	}
	tally_add(TALLY_SESSIONS, 1);
	tally_add(TALLY_CONNECTIONS, 1);
	return (s);
}

void
session_close(struct sessions *ss, struct session *s)
{
	HASH_DEL(ss->byid, s);
	tally_add(TALLY_SESSIONS, -1);
	session_end_tx(s);
	free(s);
}

bool
session_authenticated(const struct session *s)
{
	return (s->login >= LOGIN_ASKED);
}

void
session_bind_to(struct session *s, enum login login, const char *hash)
{
	digest_strings(s->bound, 1, &hash);
	s->login = login;
}

bool
session_is_bound_to(const struct session *s, const char *hash)
{
	uint8_t digest[DIGEST_LEN];

	digest_strings(digest, 1, &hash);
	return (memcmp(digest, s->bound, sizeof(digest)) == 0);
}

const char *
session_user(const struct session *s)
{
	if (s->tx != NULL &&
	    (s->tx->state == TX_OPEN || s->tx->state == TX_PASSED))
		return (s->tx->user);
	return (session_authenticated(s) ? s->name : "");
}

struct tx *
session_begin_tx(struct session *s, const char *sender)
{
	session_end_tx(s);
	if ((s->tx = calloc(1, sizeof(*s->tx))) == NULL)
		return (NULL);
	strlcpy(s->tx->sender, sender, sizeof(s->tx->sender));
	return (s->tx);
}

void
session_end_tx(struct session *s)
{
	if (s->tx == NULL)
		return;
	header_clear(&s->tx->header);
	alarms_clear(&s->tx->recipients_seen);
	free(s->tx);
	s->tx = NULL;
}

const char *
session_source(const struct session *s, char buf[NETADDR_TEXT])
{
	if (s->source.len != 0)
		return (netaddr_text(&s->source, buf));
	strlcpy(buf, s->local ? "local" : "unknown", NETADDR_TEXT);
	return (buf);
}
