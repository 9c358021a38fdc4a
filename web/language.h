/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef LANGUAGE_H
#define LANGUAGE_H

/*
 * The languages of the page.  Texts are written in English in the sources and
 * in scripts/reasons.ini; web/po/LANGUAGE.po, which is part of the program, has
 * them in another language.
 *
 * The format is that of gettext(3), but its functions are not used: in the
 * locales "C" and "C.UTF-8" they ignore LANGUAGE, and a server need not have
 * any other locale.
 */

struct language {
	const char *tag;       /* RFC 5646, without a script or a region */
	const char *catalogue; /* the text of the file */
};

/*
 * Marks a text that the catalogues must have, if the language is not known
 * there.
 */
#define N_(text) text

/*
 * The language that an Accept-Language header prefers, RFC 9110 12.5.4, matched
 * by lookup, RFC 4647 3.4, so that "de-AT" finds "de".  English if there is no
 * header (NULL), or if no language matches.  Invalid elements are ignored.
 */
const struct language *language_of(const char *accept_language);

/*
 * Translates an English text.  The caller frees the result.  NULL if the
 * catalogue does not have it, or when out of memory: then show the English.
 */
char *language_text(const struct language *, const char *english);

#endif /* LANGUAGE_H */
