/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef ESCAPE_H
#define ESCAPE_H

#include <stdio.h>

/* Writes text of strangers so that it is safe to show. */

/*
 * As text of HTML, also within quotes.  Bytes that are not UTF-8 are written as
 * \xHH; characters that are invisible or change how the rest is shown, such as
 * line separators and marks of direction, as \u{HHHH}.
 */
void escape_html(FILE *, const char *);

/*
 * As a string of JSON, RFC 8259 7, with its quotes; U+FFFD for what is no
 * UTF-8.
 */
void escape_json(FILE *, const char *);

#endif /* ESCAPE_H */
