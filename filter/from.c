/*
 * Copyright (c) 2026 The smtpusers authors
 *
 * Permission to use, copy, modify, and distribute this software for any
 * purpose with or without fee is hereby granted, provided that the above
 * copyright notice and this permission notice appear in all copies.
 *
 * THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
 * WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
 * MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
 * ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
 * WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
 * ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
 * OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
 */

#include <sys/types.h>

#include <stdbool.h>
#include <string.h>
#include <unistr.h>

#include "from.h"

/* What is left of the value, and what has been found in it. */
struct reader {
	const char	*p;
	const char	*end;
	struct domains	*domains;
	enum reason	 reason;
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

/* What text between delimiters has that readers may stumble over. */
struct hazards {
	bool	 escaped;	/* could end it early */
	bool	 address;	/* could then be seen as an address */
};

static bool
harmless(const struct hazards *h)
{
	return (!h->escaped || !h->address);
}

static void
note(struct hazards *h, char c)
{
	if (c == '\\')
		h->escaped = true;
	else if (c == '@' || c == '<' || c == '>')
		h->address = true;
}

static bool
skip_quoted(struct reader *r)
{
	struct hazards	 h = { false, false };

	for (r->p++; r->p < r->end; r->p++) {
		note(&h, *r->p);
		if (*r->p == '"') {
			r->p++;
			return (harmless(&h) || ambiguous(r));
		}
		if (*r->p == '\\' && ++r->p < r->end)
			note(&h, *r->p);
	}
	return (ambiguous(r));
}

static bool
skip_comment(struct reader *r)
{
	struct hazards	 h = { false, false };
	int		 depth = 0;

	for (; r->p < r->end; r->p++) {
		note(&h, *r->p);
		if (*r->p == '(' && depth++ > 0)
			h.escaped = true;
		else if (*r->p == '"')
			h.escaped = true;
		else if (*r->p == ')' && --depth == 0) {
			r->p++;
			return (harmless(&h) || ambiguous(r));
		} else if (*r->p == '\\' && ++r->p < r->end)
			note(&h, *r->p);
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
	size_t	 i;

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
	const char	*from = ++r->p;
	char		 name[DOMAIN_TEXT];

	if (next_is(r, '['))
		return (fail(r, REASON_LITERAL));
	while (r->p < r->end && (is_atext(*r->p) || is_utf8(*r->p) ||
	    *r->p == '.'))
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
	const char	*from = r->p;

	while (r->p < r->end && (is_atext(*r->p) || is_utf8(*r->p) ||
	    *r->p == '.'))
		r->p++;
	return ((size_t)(r->p - from));
}

/* Reads from '<' to '>'. */
static bool
read_angle(struct reader *r)
{
	const char	*atom = ++r->p;
	size_t		 len = read_atom(r);

	if (!next_is(r, '@') || !is_local_part(atom, len))
		return (ambiguous(r));
	if (!read_domain(r))
		return (false);
	if (!next_is(r, '>'))
		return (ambiguous(r));
	r->p++;
	return (true);
}

/* What may stand behind a word: nothing, or what begins something else. */
static bool
word_ends(const struct reader *r)
{
	return (at_end(r) || is_space(*r->p) || *r->p == '(' ||
	    *r->p == '<' || *r->p == ',');
}

/* Reads an atom, and the domain behind it if it turns out a local part. */
static bool
read_atom_or_address(struct reader *r, bool *is_address)
{
	const char	*atom = r->p;
	size_t		 len = read_atom(r);

	*is_address = next_is(r, '@');
	if (len == 0)
		return (ambiguous(r));
	if (*is_address) {
		if (!is_local_part(atom, len))
			return (ambiguous(r));
		if (!read_domain(r))
			return (false);
		if (next_is(r, '<'))
			return (ambiguous(r));
	}
	return (word_ends(r) || ambiguous(r));
}

/*
 * Reads words up to the address in angle brackets; an address that stands
 * alone needs none.
 */
static bool
read_mailbox(struct reader *r)
{
	size_t	 words = 0;
	bool	 is_address = false;

	for (;;) {
		if (!skip_cfws(r))
			return (false);
		if (at_end(r) || next_is(r, ','))
			return ((words == 1 && is_address) || ambiguous(r));
		if (next_is(r, '<'))
			return (read_angle(r) && skip_cfws(r));
		words++;
		if (next_is(r, '"')) {
			is_address = false;
			if (!skip_quoted(r))
				return (false);
			if (!word_ends(r))
				return (ambiguous(r));
		} else if (!read_atom_or_address(r, &is_address))
			return (false);
	}
}

/* Control characters of ASCII and Unicode, but for the tab. */
static bool
has_controls(const char *value, size_t len)
{
	const unsigned char	*p = (const unsigned char *)value;
	size_t			 i;

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
	struct reader	 r = { value, value + len, domains, REASON_NONE };

	if (len > FROM_MAX)
		return (REASON_FROM_LONG);
	if (has_controls(value, len) ||
	    u8_check((const uint8_t *)value, len) != NULL)
		return (REASON_FROM_AMBIGUOUS);
	while (read_mailbox(&r)) {
		if (at_end(&r))
			return (REASON_NONE);
		if (!next_is(&r, ','))
			return (REASON_FROM_AMBIGUOUS);
		r.p++;
	}
	return (r.reason);
}
