/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef WORDING_H
#define WORDING_H

struct language;

/*
 * What scripts/reasons.ini, which is part of the program, says of a reason, for
 * the people who send mail.
 */

/* Fills in what stands in braces, such as "user"; NULL: leave it as it is. */
typedef const char *(*wording_value)(void *, const char *name);

/*
 * Finds a part of a reason, "what", "why" or "fix", on one line and filled in,
 * in this language or, where its catalogue has no such text, in English.  The
 * caller frees it.  NULL when there is none, or memory is short.
 */
char *wording_of(const struct language *, const char *reason, const char *part,
    wording_value, void *);

#endif /* WORDING_H */
