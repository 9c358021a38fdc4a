/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef HEADER_H
#define HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "domain.h"
#include "newline.h"
#include "reason.h"

/* Longest Message-ID kept, for the report, with its NUL. */
#define HEADER_MESSAGE_ID 256

/*
 * The header section of a message, read line by line as it passes and never
 * kept whole: what is held is the value of the From field, up to a bound, and
 * what is wrong.
 *
 * Lines are taken as the client has sent them, so a leading dot is removed,
 * RFC 5321, 4.5.2; smtpd passes on lines that differ in no more than that.
 * The section ends with the first empty line.  To be let through it must be
 * fields and their continuations alone, RFC 5322, 2.2, with exactly one From:
 *
 *  - A line that is neither ends the header for some readers, and is skipped
 *    by others who then go on to another From.
 *  - The same for NUL and for CR that is not part of the line's end, at which
 *    some readers begin another line.
 *  - White space between "From" and the colon (the obsolete syntax of 4.5)
 *    makes a From for some readers and an unknown field for others.
 *  - A continuation of From with nothing but white space, which some take for
 *    the empty line.
 */
struct header {
	bool	       done;  /* the body has begun */
	bool	       begun; /* by a field */
	bool	       in_from;
	unsigned int   nfrom;
	enum reason    reason;	/* the first thing wrong */
	struct newline newline; /* in the present field */
	char	      *from;	/* the first From, folds being LF */
	size_t	       fromlen;
	size_t	       fromsize;
	char	       message_id[HEADER_MESSAGE_ID];
};

/* Takes a line of the message, without its end.  Cheap once it is done. */
void header_line(struct header *, const char *, size_t);

/*
 * Judges what has passed, and adds the domains of the From field's addresses.
 * REASON_NONE, or why the message cannot be let through.
 */
enum reason header_domains(const struct header *, struct domains *);

/*
 * Whether From names who writes bounces: "mailer-daemon" or "postmaster", RFC
 * 5321 4.5.1, in whatever domain.
 */
bool header_is_bounce(const struct header *);

/* Frees what it holds and zeroes it, ready for another message. */
void header_clear(struct header *);

#endif /* HEADER_H */
