/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "body.h"

bool
body_hides_end(const char *line, size_t len)
{
	const char *end = line + len, *cr;

	while ((cr = memchr(line, '\r', (size_t)(end - line))) != NULL) {
		if (cr - line == 1 && *line == '.')
			return (true);
		line = cr + 1;
		if (end - line == 1 && *line == '.')
			return (true);
	}
	return (false);
}
