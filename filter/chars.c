/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stdint.h>
#include <string.h>

#include "chars.h"

/* Sixteen bytes at a time, as most processors have it. */
typedef signed char bytes __attribute__((vector_size(16)));

static bytes
are_odd(bytes v)
{
	return ((v < ' ') | (v == '\x7f'));
}

static bool
is_any(bytes seen)
{
	uint64_t half[2];

	memcpy(half, &seen, sizeof(half));
	return ((half[0] | half[1]) != 0);
}

static unsigned int
look_at(char c)
{
	if (c < ' ' || c > '~')
		return (CHARS_ODD);
	return (c == '?' ? CHARS_MARK : 0);
}

unsigned int
chars_look(const char *text, size_t len)
{
	const char  *last;
	bytes	     v, odd = { 0 }, mark = { 0 };
	unsigned int has = 0;

	if (len < sizeof(bytes)) {
		while (len-- > 0)
			has |= look_at(*text++);
		return (has);
	}
	last = text + len - sizeof(bytes);
	for (; text < last; text += sizeof(v)) {
		memcpy(&v, text, sizeof(v));
		odd |= are_odd(v);
		mark |= v == '?';
	}
	/* Some of these have gone by already. */
	memcpy(&v, last, sizeof(v));
	odd |= are_odd(v);
	mark |= v == '?';
	if (!is_any(odd | mark))
		return (0);
	return ((is_any(odd) ? CHARS_ODD : 0) |
	    (is_any(mark) ? CHARS_MARK : 0));
}

const char *
chars_word(const char *p, const char *end)
{
	const char *mark;

	for (; end - p > 1; p = mark) {
		mark = memchr(p + 1, '?', (size_t)(end - p - 1));
		if (mark == NULL)
			return (NULL);
		if (mark[-1] == '=')
			return (mark - 1);
	}
	return (NULL);
}
