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
 * Reads the header section of a message line by line as it passes.  It keeps
 * only the value of the From field, up to a bound, and the first error.
 *
 * Lines come as the client has sent them, so a leading dot is removed (RFC
 * 5321, 4.5.2).  The section ends with the first empty line.  It may have only
 * fields and their continuations (RFC 5322, 2.2), with exactly one From.
 * Errors are:
 *
 *  - A line that is neither: some readers end the header there, others skip it
 *    and may find another From behind it.
 *  - NUL, and CR that is not part of the line's end: some readers begin another
 *    line there.
 *  - White space between "From" and the colon (the obsolete syntax of 4.5):
 *    some readers see a From, others an unknown field.
 *  - A continuation of From that is only white space: some readers take it for
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

/* Reads a line of the message, without its end.  Cheap behind the header. */
void header_line(struct header *, const char *, size_t);

/*
 * Judges the header so far, and adds the domains of the From field's addresses.
 * Returns REASON_NONE, or why the message must be refused.
 */
enum reason header_domains(const struct header *, struct domains *);

/*
 * Whether From is "mailer-daemon" or "postmaster" (RFC 5321 4.5.1) in any
 * domain, as in bounces.
 */
bool header_is_bounce(const struct header *);

/* Frees its contents and zeroes it, ready for another message. */
void header_clear(struct header *);

#endif /* HEADER_H */
