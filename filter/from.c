/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <stdbool.h>
#include <string.h>
#include <unistr.h>

#include "from.h"

/* What is left of the value, and what has been found in it. */
struct reader {
	const char     *p;
	const char     *end;
	struct domains *domains;
	enum reason	reason;
	bool		hidden; /* "@", "<" or ">" in a quoted string */
	bool		odd;	/* what readers read differently */
};

static bool
fail(struct reader *r, enum reason reason)
{
	if (r->reason == REASON_NONE)
		r->reason = reason;
	return (false);
}

static bool
ambiguous(struct reader *r)
{
	return (fail(r, REASON_FROM_AMBIGUOUS));
}

static bool
at_end(const struct reader *r)
{
	return (r->p == r->end);
}

static bool
next_is(const struct reader *r, char c)
{
	return (r->p < r->end && *r->p == c);
}

static bool
is_space(char c)
{
	return (c == ' ' || c == '\t');
}

/* RFC 5322, 3.2.3 */
static bool
is_atext(char c)
{
	return ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL));
}

static bool
is_utf8(char c)
{
	return ((unsigned char)c >= 0x80);
}

/* Whether a character would matter if it were not quoted. */
static bool
is_address_char(char c)
{
	return (c == '@' || c == '<' || c == '>');
}

static bool
skip_quoted(struct reader *r)
{
	for (r->p++; r->p < r->end; r->p++) {
		if (*r->p == '"') {
			r->p++;
			return (true);
		}
		if (*r->p == '\\') {
			r->odd = true;
			if (++r->p == r->end)
				break;
		}
		if (is_address_char(*r->p))
			r->hidden = true;
	}
	return (ambiguous(r));
}

static bool
skip_comment(struct reader *r)
{
	r->odd = true;
	for (r->p++; r->p < r->end; r->p++) {
		if (*r->p == ')') {
			r->p++;
			return (true);
		}
		if (*r->p == '\\' || *r->p == '(' || is_address_char(*r->p))
			break;
	}
	return (ambiguous(r));
}

/* Skips white space and comments. */
static bool
skip_cfws(struct reader *r)
{
	for (;;) {
		while (r->p < r->end && is_space(*r->p))
			r->p++;
		if (!next_is(r, '('))
			return (true);
		if (!skip_comment(r))
			return (false);
	}
}

/* Whether an atom can be a local part: a dot-atom and no encoded word. */
static bool
is_local_part(const char *atom, size_t len)
{
	size_t i;

	if (len == 0 || atom[0] == '.' || atom[len - 1] == '.')
		return (false);
	for (i = 0; i < len; i++) {
		if (is_utf8(atom[i]))
			return (false);
		if (i > 0 && atom[i] == '.' && atom[i - 1] == '.')
			return (false);
		if (i > 0 && atom[i] == '?' && atom[i - 1] == '=')
			return (false);
	}
	return (true);
}

/* Reads the domain behind an '@' and adds it. */
static bool
read_domain(struct reader *r)
{
	const char *from = ++r->p;
	char	    name[DOMAIN_TEXT];

	if (next_is(r, '['))
		return (fail(r, REASON_LITERAL));
	while (r->p < r->end &&
	    (is_atext(*r->p) || is_utf8(*r->p) || *r->p == '.'))
		r->p++;
	if (r->p == from)
		return (ambiguous(r));
	if (!domain_alabel(from, (size_t)(r->p - from), name))
		return (fail(r, REASON_DOMAIN));
	return (domains_add(r->domains, name) || ambiguous(r));
}

/* Reads an atom as a phrase or a local part may have it. */
static size_t
read_atom(struct reader *r)
{
	const char *from = r->p;

	while (r->p < r->end &&
	    (is_atext(*r->p) || is_utf8(*r->p) || *r->p == '.'))
		r->p++;
	return ((size_t)(r->p - from));
}

/* Reads from '<' to '>'. */
static bool
read_angle(struct reader *r)
{
	const char *atom = ++r->p;
	size_t	    len = read_atom(r);

	if (!next_is(r, '@') || !is_local_part(atom, len))
		return (ambiguous(r));
	if (!read_domain(r))
		return (false);
	if (!next_is(r, '>'))
		return (ambiguous(r));
	r->p++;
	return (true);
}

/* What may stand behind a part: nothing, or what begins something else. */
static bool
word_ends(const struct reader *r)
{
	return (at_end(r) || is_space(*r->p) || *r->p == '(' || *r->p == '<' ||
	    *r->p == ',');
}

/* RFC 2047, 2: "=?" charset "?" encoding "?" text "?=", and nothing besides. */
static bool
is_encoded_word(const char *atom, size_t len)
{
	const char *end = atom + len, *p;

	if (len < 2 || memcmp(atom, "=?", 2) != 0 ||
	    (p = memchr(atom + 2, '?', len - 2)) == NULL || p == atom + 2)
		return (false);
	if (end - p < 5 || strchr("QqBb", p[1]) == NULL || p[2] != '?')
		return (false);
	p = memchr(p + 3, '?', (size_t)(end - p - 3));
	return (p != NULL && p + 2 == end && p[1] == '=');
}

static bool
read_word(struct reader *r, const char *atom, size_t len)
{
	if (memmem(atom, len, "=?", 2) != NULL && !is_encoded_word(atom, len))
		return (ambiguous(r));
	if (atom[0] == '.')
		r->odd = true;
	return (word_ends(r) || ambiguous(r));
}

/* The local part has been read, the '@' comes next. */
static bool
read_address(struct reader *r, const char *local, size_t len)
{
	if (!is_local_part(local, len))
		return (ambiguous(r));
	if (!read_domain(r))
		return (false);
	return ((word_ends(r) && !next_is(r, '<')) || ambiguous(r));
}

enum part {
	PART_WORD,
	PART_QUOTED,
	PART_ADDRESS
};

/* Reads one part of a phrase, or the address that stands in its place. */
static bool
read_part(struct reader *r, enum part *part)
{
	const char *atom = r->p;
	size_t	    len;

	if (next_is(r, '"')) {
		*part = PART_QUOTED;
		return (skip_quoted(r) && (word_ends(r) || ambiguous(r)));
	}
	if ((len = read_atom(r)) == 0)
		return (ambiguous(r));
	*part = next_is(r, '@') ? PART_ADDRESS : PART_WORD;
	if (*part == PART_ADDRESS)
		return (read_address(r, atom, len));
	return (read_word(r, atom, len));
}

/* What an address without brackets is followed by: nothing, or the same. */
static bool
read_after_address(struct reader *r)
{
	const char *from = r->p;

	if (!skip_cfws(r))
		return (false);
	if (at_end(r) || next_is(r, ','))
		return (true);
	if (memchr(from, '(', (size_t)(r->p - from)) != NULL ||
	    !next_is(r, '<'))
		return (ambiguous(r));
	return (read_angle(r) && skip_cfws(r));
}

static bool
read_mailbox(struct reader *r)
{
	enum part part;
	size_t	  n;
	bool	  quoted = false;

	for (n = 1;; n++) {
		if (!skip_cfws(r))
			return (false);
		if (next_is(r, '<'))
			return (read_angle(r) && skip_cfws(r));
		if (!read_part(r, &part))
			return (false);
		if (part == PART_ADDRESS)
			return (n == 1 ? read_after_address(r) : ambiguous(r));
		quoted = quoted || part == PART_QUOTED;
		if (quoted && n > 1)
			r->odd = true;
	}
}

/* Control characters of ASCII and Unicode, but for the tab. */
static bool
has_controls(const char *value, size_t len)
{
	const unsigned char *p = (const unsigned char *)value;
	size_t		     i;

	for (i = 0; i < len; i++) {
		if ((p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f)
			return (true);
		if (p[i] == 0xc2 && i + 1 < len && p[i + 1] < 0xa0)
			return (true);
		if (p[i] == 0xe2 && i + 2 < len && p[i + 1] == 0x80 &&
		    (p[i + 2] == 0xa8 || p[i + 2] == 0xa9))
			return (true);
	}
	return (false);
}

enum reason
from_parse(const char *value, size_t len, struct domains *domains)
{
	struct reader r = { value, value + len, domains, REASON_NONE, false,
		false };

	if (len > FROM_MAX)
		return (REASON_FROM_LONG);
	if (has_controls(value, len) ||
	    u8_check((const uint8_t *)value, len) != NULL)
		return (REASON_FROM_AMBIGUOUS);
	while (read_mailbox(&r)) {
		if (at_end(&r))
			return (r.hidden && r.odd ? REASON_FROM_AMBIGUOUS
						  : REASON_NONE);
		if (!next_is(&r, ','))
			return (REASON_FROM_AMBIGUOUS);
		r.p++;
	}
	return (r.reason);
}
