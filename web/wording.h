/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef WORDING_H
#define WORDING_H

struct language;

/*
 * The words about a reason in scripts/reasons.ini, which is part of the
 * program, for the people who send mail.
 */

/* The value of a {name}, such as "user"; NULL leaves it as it is. */
typedef const char *(*wording_value)(void *, const char *name);

/*
 * Returns a part of a reason, "what", "why" or "fix", on one line, with values
 * filled in, in this language, or in English if the catalogue lacks the text.
 * The caller frees it.  NULL if there is no such part, or when out of memory.
 */
char *wording_of(const struct language *, const char *reason, const char *part,
    wording_value, void *);

#endif /* WORDING_H */
