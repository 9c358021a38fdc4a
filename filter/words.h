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
 * Whether something may come out of the words of a text, which has no end of a
 * line to anybody, that is one.
 */
bool words_may_end_line(const char *, size_t);

/* In what is decoded: an "@" for some readers, half a character for others. */
#define WORDS_MAYBE_AT '\x01'

/*
 * Decodes the words of text[0..len) into out, which has room for as much and
 * is filled even where something is unclear; it may be the text.  White space
 * between two words is kept if wanted, as some readers do.
 *
 * What comes out is for looking for addresses, not for showing: only ASCII and
 * UTF-8 are what they were.  Every "@" is there as such, also the one of full
 * width of other charsets than UTF-8.  Unclear are words with no end, with an
 * end that may be another's, with an encoding that is neither Q nor B, with
 * control characters other than tab, CR and LF, and with a charset that is not
 * known to hold ASCII: in such a one any byte may be an "@".
 */
enum words words_decode(const char *, size_t, bool, char *, size_t *);

#endif /* WORDS_H */
