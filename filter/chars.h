/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef CHARS_H
#define CHARS_H

#include <stdbool.h>
#include <stddef.h>

/* White space within a line. */
static inline bool
is_blank(char c)
{
	return (c == ' ' || c == '\t');
}

/* The same with a fold. */
static inline bool
is_space(char c)
{
	return (is_blank(c) || c == '\n' || c == '\r');
}

/* ASCII letters and digits. */
static inline bool
is_alnum(char c)
{
	char lower = (char)(c | 0x20);

	return ((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9'));
}

/* What a text has in it. */
#define CHARS_ODD 0x1  /* anything but printable ASCII */
#define CHARS_MARK 0x2 /* "?", without which there is no encoded word */

unsigned int chars_look(const char *, size_t);

/* The next "=?", at which an encoded word may begin, or NULL. */
const char *chars_word(const char *, const char *);

#endif /* CHARS_H */
