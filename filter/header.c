/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "from.h"
#include "header.h"

static void
wrong(struct header *h, enum reason reason)
{
	if (h->reason == REASON_NONE)
		h->reason = reason;
}

static bool
is_space(char c)
{
	return (c == ' ' || c == '\t');
}

/* Keeps a part of the From field's value, of the first field alone. */
static void
keep_from(struct header *h, const char *text, size_t len)
{
	size_t size;
	char  *from;

	if (h->nfrom > 1 || len == 0)
		return;
	if (len > FROM_MAX - h->fromlen) {
		wrong(h, REASON_FROM_LONG);
		return;
	}
	if (h->fromlen + len > h->fromsize) {
		for (size = 256; size < h->fromlen + len; size *= 2)
			continue;
		if ((from = realloc(h->from, size)) == NULL) {
			wrong(h, REASON_FROM_LONG);
			return;
		}
		h->from = from;
		h->fromsize = size;
	}
	memcpy(h->from + h->fromlen, text, len);
	h->fromlen += len;
}

static void
keep_message_id(struct header *h, const char *text, size_t len)
{
	while (len > 0 && is_space(*text)) {
		text++;
		len--;
	}
	if (len >= sizeof(h->message_id))
		len = sizeof(h->message_id) - 1;
	memcpy(h->message_id, text, len);
	h->message_id[len] = '\0';
}

static void
continuation(struct header *h, const char *line, size_t len)
{
	size_t i;

	if (!h->in_from)
		return;
	for (i = 0; i < len && is_space(line[i]); i++)
		continue;
	if (i == len)
		wrong(h, REASON_FROM_AMBIGUOUS);
	keep_from(h, line, len);
}

/* RFC 5322, 3.6.8: printable ASCII without the colon. */
static bool
is_field_name(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return (false);
	return (len > 0);
}

static bool
is_named(const char *name, size_t len, const char *what)
{
	return (len == strlen(what) && strncasecmp(name, what, len) == 0);
}

static void
field(struct header *h, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len), *value;
	size_t	    namelen, valuelen;
	bool	    spaced;

	h->in_from = false;
	if (colon == NULL) {
		wrong(h, REASON_HEADER);
		return;
	}
	value = colon + 1;
	valuelen = (size_t)(line + len - value);
	namelen = (size_t)(colon - line);
	spaced = namelen > 0 && is_space(line[namelen - 1]);
	while (namelen > 0 && is_space(line[namelen - 1]))
		namelen--;
	if (!is_field_name(line, namelen)) {
		wrong(h, REASON_HEADER);
		return;
	}
	if (is_named(line, namelen, "from")) {
		h->in_from = true;
		if (spaced)
			wrong(h, REASON_FROM_SPACE);
		if (++h->nfrom > 1)
			wrong(h, REASON_FROM_MULTIPLE);
		keep_from(h, value, valuelen);
	} else if (is_named(line, namelen, "message-id"))
		keep_message_id(h, value, valuelen);
}

void
header_line(struct header *h, const char *line, size_t len)
{
	if (h->done)
		return;
	if (len > 0 && line[0] == '.') {
		line++;
		len--;
	}
	if (len == 0) {
		h->done = true;
		return;
	}
	if (memchr(line, '\r', len) != NULL || memchr(line, '\0', len) != NULL)
		wrong(h, REASON_CONTROL);
	if (is_space(line[0]))
		continuation(h, line, len);
	else
		field(h, line, len);
}

enum reason
header_domains(const struct header *h, struct domains *domains)
{
	if (h->reason != REASON_NONE)
		return (h->reason);
	if (h->nfrom == 0)
		return (REASON_FROM_MISSING);
	return (from_parse(h->from != NULL ? h->from : "", h->fromlen,
	    domains));
}

void
header_clear(struct header *h)
{
	free(h->from);
	memset(h, 0, sizeof(*h));
}
