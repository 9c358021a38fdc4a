/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <ctype.h>
#include <string.h>

#include "completion.h"

/* Where quoted strings and comments are, to smtpd. */
struct place {
	bool	     escaped;
	bool	     quoted;
	unsigned int comments;
};

/* What it has seen of a part. */
struct part {
	struct place place;
	size_t	     len;
	bool	     begun;    /* by anything but white space */
	bool	     angle;    /* "<", and not yet ">" */
	bool	     empty;    /* "<>" */
	bool	     in_angle; /* something between the two */
	bool	     whole;    /* "@" or ":" */
};

static void
move(struct place *at, char c, bool escapes)
{
	if (c == '(' && !at->escaped && !at->quoted)
		at->comments++;
	else if (c == '"' && !at->escaped && at->comments == 0)
		at->quoted = !at->quoted;
	else if (c == ')' && !at->escaped && !at->quoted && at->comments > 0)
		at->comments--;
	at->escaped = c == '\\' && escapes && !at->escaped && at->comments == 0;
}

static bool
is_outside(const struct place *at)
{
	return (!at->quoted && at->comments == 0);
}

static void
take_mark(struct part *part, char c)
{
	bool first = part->len++ == 0;

	move(&part->place, c, !part->place.quoted);
	/* What is in a comment is not completed, unless it is all there is. */
	if ((part->place.comments == 0 && c != ')') || first)
		part->begun = true;
	if (part->angle && c != '>')
		part->in_angle = true;
	if (!is_outside(&part->place))
		return;
	if (c == '@' || c == ':')
		part->whole = true;
	else if (c == '<' && !part->angle) {
		part->angle = true;
		part->in_angle = false;
	} else if (c == '>' && part->angle) {
		part->angle = false;
		part->empty = !part->in_angle;
	}
}

static bool
is_altered(const struct part *part)
{
	if (part->place.escaped || !is_outside(&part->place) || part->angle)
		return (false);
	return (part->begun && !part->whole && !part->empty);
}

static bool
is_mark(char c)
{
	switch (c) {
	case ',':
	case '"':
	case '(':
	case ')':
	case '\\':
	case '<':
	case '>':
	case '@':
	case ':':
		return (true);
	default:
		return (false);
	}
}

/* What is no mark, as most is, the short way. */
static void
take_plain(struct part *part, char c)
{
	bool first = part->len++ == 0;

	part->place.escaped = false;
	if (isspace((unsigned char)c))
		return;
	if (part->place.comments == 0 || first)
		part->begun = true;
	part->in_angle = part->in_angle || part->angle;
}

/*
 * Whether it is one part with an "@" outside of what is quoted, and without
 * comments and quoted pairs, as most are.
 */
static bool
is_whole(const char *p, const char *end)
{
	const char *quote;
	size_t	    len = (size_t)(end - p);
	bool	    whole = false;

	if (memchr(p, '(', len) != NULL || memchr(p, '\\', len) != NULL)
		return (false);
	for (;; p = quote + 1) {
		quote = memchr(p, '"', (size_t)(end - p));
		len = (size_t)((quote != NULL ? quote : end) - p);
		if (memchr(p, ',', len) != NULL)
			return (false);
		whole = whole || memchr(p, '@', len) != NULL;
		if (quote == NULL)
			return (whole);
		quote++;
		if ((quote = memchr(quote, '"', (size_t)(end - quote))) == NULL)
			return (whole);
	}
}

bool
completion_alters(const char *value, size_t len)
{
	static const struct part none;
	struct part		 part = none;
	struct place		 place = { false, false, 0 };
	size_t			 i;

	if (is_whole(value, value + len))
		return (false);
	for (i = 0; i < len; i++) {
		if (!is_mark(value[i])) {
			/* It splits line by line. */
			place.escaped = place.escaped && value[i] == '\n';
			take_plain(&part, value[i]);
			continue;
		}
		move(&place, value[i], true);
		if (value[i] != ',' || place.escaped || !is_outside(&place)) {
			take_mark(&part, value[i]);
			continue;
		}
		if (is_altered(&part))
			return (true);
		part = none;
	}
	take_plain(&part, '\n');
	return (is_altered(&part));
}
