/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "domain.h"
#include "newline.h"

/*
 * The last byte alone of those that UTF-8 has in several, since readers may
 * take each byte for a character.
 */
static bool
ends_line(char c)
{
	return (c != '\0' &&
	    strchr("\n\r\x0b\x0c\x1c\x1d\x1e\x85\xa8\xa9", c) != NULL);
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
