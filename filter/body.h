/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef BODY_H
#define BODY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether a line of a message's body, without its end, holds a dot between CRs
 * that end no line, or between one and an end of the line.  To a reader that
 * takes CR for an end of line (RFC 5321, 2.3.8, forbids it) that is the end of
 * the message, and what follows is another one, sent by the relay and judged
 * by nobody.  Other CRs are let through: programs do leave some.
 */
bool body_hides_end(const char *, size_t);

#endif /* BODY_H */
