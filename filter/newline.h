/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef NEWLINE_H
#define NEWLINE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Finds "From:" behind a character that only some readers take for the end of a
 * line: encoded CR and LF, VT, FF, FS, GS, RS, NEL, and the line and paragraph
 * separators of Unicode.
 */
struct newline {
	unsigned char seen; /* how much of such an end and "from:" */
};

/* Whether some readers end a line at a byte. */
bool newline_ends(char);

/* Reads more of the text; returns whether it was found by now. */
bool newline_hides_from(struct newline *, const char *, size_t);

#endif /* NEWLINE_H */
