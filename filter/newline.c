/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include "domain.h"
#include "newline.h"

/*
 * The last byte alone of those that UTF-8 has in several, since readers may
 * take each byte for a character.
 */
static bool
ends_line(char c)
{
	switch (c) {
	case '\n':
	case '\r':
	case '\x0b':
	case '\x0c':
	case '\x1c':
	case '\x1d':
	case '\x1e':
	case '\x85':
	case '\xa8':
	case '\xa9':
		return (true);
	default:
		return (false);
	}
}

bool
newline_hides_from(struct newline *n, const char *text, size_t len)
{
	static const char name[] = "from:";
	size_t		  i;
	char		  c;

	for (i = 0; i < len && n->seen < sizeof(name); i++) {
		c = text[i];
		if (ends_line(c))
			n->seen = 1;
		else if (n->seen > 0 && domain_lower(c) == name[n->seen - 1])
			n->seen++;
		else if ((c != ' ' && c != '\t') ||
		    (n->seen > 1 && n->seen < sizeof(name) - 1))
			n->seen = 0;
	}
	return (n->seen == sizeof(name));
}
