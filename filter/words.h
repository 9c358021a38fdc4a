/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef WORDS_H
#define WORDS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Encoded words, RFC 2047, as the most lenient reader would decode them: the
 * text of one may hold anything, and other text may touch it.
 */
enum words {
	WORDS_NONE,
	WORDS_DECODED,
	WORDS_UNCLEAR /* readers would decode it in different ways */
};

/*
 * Whether the words of a text may decode to something that a reader takes for
 * the end of a line.
 */
bool words_may_end_line(const char *, size_t);

/* In what is decoded: an "@" for some readers, half a character for others. */
#define WORDS_MAYBE_AT '\x01'

/*
 * Decodes the words of text[0..len) into out, which needs room for len bytes,
 * and may be the text itself.  It is filled even if a word is unclear.  The
 * flag says whether to keep white space between two words, as some readers do.
 *
 * The result is for finding addresses, not for display: only ASCII and UTF-8
 * stay as they are.  Every "@" is an "@" in it, also the full-width one of
 * other charsets than UTF-8.  A word is unclear if it has no end, or an end
 * that may be another's; an encoding other than Q and B; control characters
 * other than tab, CR and LF; or a charset that may not hold ASCII, in which any
 * byte may be an "@".
 */
enum words words_decode(const char *, size_t, bool, char *, size_t *);

#endif /* WORDS_H */
