/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stddef.h>
#include <string.h>

#include "count.h"

const char *
digits_parse(const char *text, int64_t max, int64_t *n)
{
	const char *p;
	int64_t	    read = 0;

	for (p = text; *p >= '0' && *p <= '9'; p++)
		if ((read = read * 10 + (*p - '0')) > max)
			return (NULL);
	if (p == text)
		return (NULL);
	*n = read;
	return (p);
}

bool
count_parse(const char *text, int64_t *n)
{
	const char *rest;
	int64_t	    read;

	rest = digits_parse(text, COUNT_MAX, &read);
	if (rest == NULL || *rest != '\0')
		return (false);
	*n = read;
	return (true);
}

bool
size_parse(const char *text, int64_t *n)
{
	static const char units[] = "KMG";
	const char	 *rest, *unit;
	int64_t		  read, bytes = 1;

	if ((rest = digits_parse(text, COUNT_MAX, &read)) == NULL)
		return (false);
	if (*rest != '\0') {
		unit = strchr(units, *rest);
		if (unit == NULL || rest[1] != '\0')
			return (false);
		bytes = (int64_t)1 << 10 * (unit - units + 1);
	}
	if (read > COUNT_MAX / bytes)
		return (false);
	*n = read * bytes;
	return (true);
}
