/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <limits.h>

#include "chars.h"
#include "domain.h"
#include "newline.h"

/* Both an end and "from:" have been seen. */
#define FROM_SEEN 6

/*
 * The last byte alone of those that UTF-8 has in several, since readers may
 * take each byte for a character.
 */
static const bool ends[UCHAR_MAX + 1] = {
	['\n'] = true,
	['\r'] = true,
	[0x0b] = true,
	[0x0c] = true,
	[0x1c] = true,
	[0x1d] = true,
	[0x1e] = true,
	[0x85] = true,
	[0xa8] = true,
	[0xa9] = true,
};

bool
newline_ends(char c)
{
	return (ends[(unsigned char)c]);
}

/* What has been seen of "from:" behind an end, after another character. */
static unsigned char
step(unsigned char seen, char c)
{
	static const char name[] = "from:";

	if (domain_lower(c) == name[seen - 1])
		return ((unsigned char)(seen + 1));
	/* Before the name, and between it and the colon. */
	if (is_blank(c) && (seen == 1 || seen == FROM_SEEN - 1))
		return (seen);
	return (0);
}

bool
newline_hides_from(struct newline *n, const char *text, size_t len)
{
	const char   *p = text, *end = text + len;
	unsigned char seen = n->seen;

	while (seen < FROM_SEEN) {
		while (seen == 0 && p < end && !ends[(unsigned char)*p])
			p++;
		if (p == end)
			break;
		seen = ends[(unsigned char)*p] ? 1 : step(seen, *p);
		p++;
	}
	n->seen = seen;
	return (seen == FROM_SEEN);
}
