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

#include <string.h>

#include "period.h"

static int64_t
unit_seconds(const char *unit)
{
	if (unit[0] == '\0' || strcmp(unit, "s") == 0)
		return (1);
	if (strcmp(unit, "m") == 0)
		return (60);
	if (strcmp(unit, "h") == 0)
		return (3600);
	if (strcmp(unit, "d") == 0)
		return (86400);
	if (strcmp(unit, "w") == 0)
		return (7 * 86400);
	return (0);
}

bool
period_parse(const char *text, int64_t *seconds)
{
	int64_t n = 0, unit;

	for (; *text >= '0' && *text <= '9'; text++) {
		n = n * 10 + (*text - '0');
		if (n > PERIOD_MAX)
			return (false);
	}
	unit = unit_seconds(text);
	if (n == 0 || unit == 0 || n > PERIOD_MAX / unit)
		return (false);
	*seconds = n * unit;
	return (true);
}
