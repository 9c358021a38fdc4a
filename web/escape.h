/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef ESCAPE_H
#define ESCAPE_H

#include <stdio.h>

/* Text of strangers, for others to see. */

/*
 * As text of HTML, also within quotes.  What is no UTF-8 is written as \xHH;
 * what does not print, or would change how the rest is shown, such as line
 * separators and the marks that turn its direction, as \u{HHHH}.
 */
void escape_html(FILE *, const char *);

/* As a string of JSON, RFC 8259 7, with its quotes; U+FFFD for what is no UTF-8. */
void escape_json(FILE *, const char *);

#endif /* ESCAPE_H */
