/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef FROM_H
#define FROM_H

#include <stddef.h>

#include "domain.h"
#include "reason.h"

/*
 * The value of a From field, as all its readers together read it.
 *
 * Readers differ in what they take for an address, but none makes one without
 * an "@".  So every "@" counts wherever it is, in a comment, a quoted string
 * or an encoded word as elsewhere, and the domain behind it must be one that
 * all of them read alike:
 *
 *  - Before the "@" is something that can be a local part.  Behind it is,
 *    perhaps behind white space, the longest row of atext, "." and what is
 *    not ASCII, and that is a host name, see domain_alabel(), in ASCII: some
 *    leave out other letters when they decode.
 *  - Then comes the end of the value or one of , ; < > where white space,
 *    quotes, ")" and comments may be in between.  Any other word some readers
 *    would add to the domain, as obsolete syntax (RFC 5322, 4.4) would have
 *    it; and so text that touches a ">".  A comment has no quote, backslash or
 *    comment in it, at which some end it early.
 *
 * The name, and whatever else is there, may be anything, in any charset, since
 * no reader finds a domain in it.  But for these:
 *
 *  - Control characters of ASCII and of ISO 6429, and the line and paragraph
 *    separators of Unicode: readers end lines or strings at them.
 *  - What smtpd would change, see completion_alters().
 *  - U+FF20 and U+FE6B, of which NFKC makes an "@".
 *
 * All this must hold of the value as it is, and as it is with its encoded
 * words decoded (RFC 2047), with and without the white space between them,
 * also where they decode to encoded words; see words_decode().
 *
 * One "@" does not count: in a value that is a quoted string and an address in
 * angle brackets, no encoded words in it, the string may hold one, as
 * "bob@example.com via the shop" does.  Then it is in UTF-8 and has no fold
 * and none of \ < > , ; in it, at which some reader finds an end.
 *
 * Of an address the local part is known as well, see domains_add(), if it is a
 * dot-atom that stands behind "<" or begins the value or what is behind a
 * comma; quotes, comments and brackets end where every reader ends them, and
 * there is no "@", "<" or ">" in quotes and comments.  Where it is not known,
 * anybody of the domain may be the author.
 *
 * Such a reader may see only a part of the addresses, or none.  The tests in
 * regress/differential/ feed what passes to all readers that are to be had.
 */

/* A longer value is not read but refused. */
#define FROM_MAX 8192

/*
 * Reads a value, folds being LF before their white space, and adds the domains
 * of all its addresses, and these.  REASON_NONE, or why it cannot be let
 * through.
 */
enum reason from_parse(const char *, size_t, struct domains *);

#endif /* FROM_H */
