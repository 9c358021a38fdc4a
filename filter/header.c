/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "chars.h"
#include "from.h"
#include "header.h"
#include "words.h"

static void
wrong(struct header *h, enum reason reason)
{
	if (h->reason == REASON_NONE)
		h->reason = reason;
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
		wrong(h, REASON_FROM_TOO_LONG);
		return;
	}
	if (h->fromlen + len > h->fromsize) {
		for (size = 256; size < h->fromlen + len; size *= 2)
			continue;
		if ((from = realloc(h->from, size)) == NULL) {
			wrong(h, REASON_FROM_TOO_LONG);
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
	while (len > 0 && is_blank(*text)) {
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
	if (!h->begun)
		wrong(h, REASON_HEADER_MALFORMED);
	if (!h->in_from)
		return;
	keep_from(h, "\n", 1);
	keep_from(h, line, len);
}

/* Of a name with the letters of "from" in their order. */
static bool
is_like_from(const char *name, size_t len)
{
	size_t i, letters = 0, plain = 0;

	for (i = 0; i < len; i++) {
		if (isalpha((unsigned char)name[i]))
			letters++;
		else if (isdigit((unsigned char)name[i]) || name[i] == '-' ||
		    name[i] == '_')
			plain++;
	}
	return (letters < len && (letters == 4 || letters + plain < len));
}

/* What a field's name has in it. */
#define NAME_BAD 0x01
#define NAME_F 0x02
#define NAME_R 0x04
#define NAME_O 0x08
#define NAME_M 0x10
#define NAME_FROM (NAME_F | NAME_R | NAME_O | NAME_M)
#define NAME_MARK 0x20

static const unsigned char name_has[UCHAR_MAX + 1] = {
	[0 ... ' '] = NAME_BAD,
	['f'] = NAME_F,
	['F'] = NAME_F,
	['r'] = NAME_R,
	['R'] = NAME_R,
	['o'] = NAME_O,
	['O'] = NAME_O,
	['m'] = NAME_M,
	['M'] = NAME_M,
	['?'] = NAME_MARK,
	[0x7f ... UCHAR_MAX] = NAME_BAD,
};

/* Whether the letters of "from" are there in their order. */
static bool
has_from(const char *name, size_t len)
{
	static const char from[] = "from";
	size_t		  i, k = 0;

	for (i = 0; i < len; i++)
		if ((name[i] | 0x20) == from[k])
			k++;
	return (k == 4);
}

/*
 * RFC 5322, 3.6.8: printable ASCII without the colon.  Some readers are rid of
 * other characters than letters before they compare; of those, programs hardly
 * use any but digits, "-" and "_".
 */
static void
check_name(struct header *h, const char *name, size_t len)
{
	unsigned int has = 0;
	size_t	     i;

	for (i = 0; i < len; i++)
		has |= name_has[(unsigned char)name[i]];
	if (len == 0 || (has & NAME_BAD) != 0)
		wrong(h, REASON_HEADER_MALFORMED);
	else if (((has & NAME_FROM) == NAME_FROM && has_from(name, len) &&
		     is_like_from(name, len)) ||
	    ((has & NAME_MARK) != 0 && chars_word(name, name + len) != NULL))
		wrong(h, REASON_HEADER_NAME);
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
	bool	    spaced = false;

	h->begun = true;
	h->in_from = false;
	h->newline.seen = 0;
	if (colon == NULL) {
		wrong(h, REASON_HEADER_MALFORMED);
		return;
	}
	value = colon + 1;
	valuelen = (size_t)(line + len - value);
	namelen = (size_t)(colon - line);
	while (namelen > 0 && is_blank(line[namelen - 1])) {
		namelen--;
		spaced = true;
	}
	check_name(h, line, namelen);
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

/* Whether there may be an end of a line to anybody, after one or here. */
static bool
may_end_line(const struct header *h, const char *line, size_t len,
    unsigned int has)
{
	if (h->newline.seen > 0 || (has & CHARS_ODD) != 0)
		return (true);
	return ((has & CHARS_MARK) != 0 && !h->in_from &&
	    chars_word(line, line + len) != NULL &&
	    words_may_end_line(line, len));
}

static void
look_closer(struct header *h, const char *line, size_t len)
{
	char *text;

	/* The white space of a fold may be lost between encoded words. */
	while (h->newline.seen > 0 && len > 0 && is_blank(*line)) {
		line++;
		len--;
	}
	/* What words in From decode to is looked at with all of it. */
	if (h->in_from || chars_word(line, line + len) == NULL) {
		if (newline_hides_from(&h->newline, line, len))
			wrong(h, REASON_HEADER_HIDDEN_FROM);
		return;
	}
	if ((text = malloc(len + 1)) == NULL) {
		wrong(h, REASON_HEADER_HIDDEN_FROM);
		return;
	}
	words_decode(line, len, false, text, &len);
	if (newline_hides_from(&h->newline, text, len))
		wrong(h, REASON_HEADER_HIDDEN_FROM);
	free(text);
}

void
header_line(struct header *h, const char *line, size_t len)
{
	unsigned int has;
	size_t	     blank;

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
	/* Many lines begin with a tab. */
	blank = is_blank(line[0]);
	has = chars_look(line + blank, len - blank);
	if ((has & CHARS_ODD) != 0 &&
	    (memchr(line, '\r', len) != NULL ||
		memchr(line, '\0', len) != NULL))
		wrong(h, REASON_HEADER_CONTROL);
	if (blank > 0)
		continuation(h, line, len);
	else
		field(h, line, len);
	if (may_end_line(h, line, len, has))
		look_closer(h, line, len);
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

bool
header_is_bounce(const struct header *h)
{
	static const char *const names[] = { "mailer-daemon@", "postmaster@" };
	size_t			 i, at, len;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		len = strlen(names[i]);
		for (at = 0; at + len <= h->fromlen; at++)
			if (strncasecmp(h->from + at, names[i], len) == 0)
				return (true);
	}
	return (false);
}

void
header_clear(struct header *h)
{
	free(h->from);
	memset(h, 0, sizeof(*h));
}
