/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <ctype.h>

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
take(struct part *part, char c)
{
	move(&part->place, c, !part->place.quoted);
	if (!isspace((unsigned char)c))
		part->begun = true;
	if (part->angle && c != '>' && !isspace((unsigned char)c))
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

bool
completion_alters(const char *value, size_t len)
{
	static const struct part none;
	struct part		 part = none;
	struct place		 place = { false, false, 0 };
	size_t			 i;

	for (i = 0; i < len; i++) {
		/* It splits line by line. */
		if (value[i] != '\n')
			move(&place, value[i], true);
		if (value[i] != ',' || place.escaped || !is_outside(&place)) {
			take(&part, value[i]);
			continue;
		}
		if (is_altered(&part))
			return (true);
		part = none;
	}
	take(&part, '\n');
	return (is_altered(&part));
}
