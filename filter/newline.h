/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef NEWLINE_H
#define NEWLINE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * "From:" behind something that some readers take for the end of a line, and
 * that is none: CR and LF where they are encoded, VT, FF, FS, GS, RS, NEL, and
 * the line and paragraph separators of Unicode.
 */
struct newline {
	unsigned char seen; /* of such an end and "from:" */
};

/* Whether some readers end a line at a byte. */
bool newline_ends(char);

/* Takes more of the text; whether "From:" has been seen by now. */
bool newline_hides_from(struct newline *, const char *, size_t);

#endif /* NEWLINE_H */
