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
 * The value of a From field, in the one reading that every reader of the
 * message shares:
 *
 *	from         =  mailbox *("," mailbox)
 *	mailbox      =  addr-spec / [phrase / addr-spec] "<" addr-spec ">"
 *	phrase       =  1*word			; apart by white space
 *	word         =  1*(atext / "." / UTF-8) / quoted-string / encoded-word
 *	addr-spec    =  dot-atom "@" domain	; no white space in it
 *	domain       =  a host name, see domain_alabel()
 *
 * with comments and white space between the parts, as RFC 5322, 3.2.2 has
 * them.  What else its grammar, the obsolete one (4.4) and RFC 6854 would
 * take is refused, because readers are known to disagree about it:
 *
 *  - Groups, routes ("<@a,@b:c@d>"), empty elements, ";" between mailboxes:
 *    some readers take the first address, some the last, some none.
 *  - A quoted local part: readers that split at the first "@" find another
 *    domain in it than those that split at the last.
 *  - White space or comments within an address, a comma or colon in an
 *    unquoted name: where the address begins is anybody's guess, and smtpd
 *    itself appends its host name to what it takes for one without a domain.
 *  - An unquoted address in a name, unless it is all of the name: readers
 *    join the words around it to it.
 *  - "=?" that does not begin a whole encoded word (RFC 2047, 2), or in an
 *    address: some readers decode before they parse.
 *  - Address literals: no domain that anybody could own.
 *  - A comment that holds "@", "<", ">", "(" or a backslash: readers end it
 *    early, or take an address out of it.
 *  - A quoted string that holds "@", "<" or ">", where anything in the value
 *    may make a reader end a quoted string at another place: a backslash in
 *    one, a comment, a word that begins with a dot, another word in the same
 *    name.  A name that is one quoted string may hold anything.
 *  - Words that touch ("a"b), or text that touches an address: the same.
 *  - Bytes that are not UTF-8 (RFC 6532): in some charsets they hide a quote
 *    or a backslash.  Control characters, of ASCII and of ISO 6429, and the
 *    line and paragraph separators of Unicode: readers end lines at them.
 *
 * What an encoded word decodes to is text for people and may be anything.
 * regress/differential/ compares this reading with those of other parsers.
 */

/* A longer value, unfolded, is not read but refused. */
#define FROM_MAX 8192

/*
 * Reads a value, unfolded (RFC 5322, 2.2.3), and adds the domains of all its
 * addresses.  REASON_NONE, or why it cannot be let through.
 */
enum reason from_parse(const char *, size_t, struct domains *);

#endif /* FROM_H */
