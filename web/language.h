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
 * gettext(3) does not choose among its catalogues in the locale "C" or "C.UTF-8",
 * whatever LANGUAGE is, and a server need not have any other locale.  So it is
 * the files of gettext, but not its functions.
 */

struct language {
	const char *tag;       /* RFC 5646, without a script or a region */
	const char *catalogue; /* the text of the file */
};

/*
 * Marks a text that the catalogues must have, where it is not yet known in
 * which language it is to be shown.
 */
#define N_(text) text

/*
 * The language that an Accept-Language header prefers, RFC 9110 12.5.4; matched
 * by lookup, RFC 4647 3.4, so that "de-AT" finds "de".  English where there is
 * no header (NULL), or none of its languages.  Elements with a syntax error are
 * passed over.
 */
const struct language *language_of(const char *accept_language);

/*
 * An English text in this language.  The caller frees it.  NULL where the
 * catalogue does not have it, or memory is short: then the English is to be
 * shown.
 */
char *language_text(const struct language *, const char *english);

#endif /* LANGUAGE_H */
