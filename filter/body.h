/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef BODY_H
#define BODY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether a line of a message's body, without its end, holds a dot between two
 * CRs, or between a CR and the start or end of the line.  A reader that takes
 * CR for an end of line (RFC 5321, 2.3.8, forbids it) would end the message
 * there, and take the rest for another message, which nobody has checked.
 * Other CRs are allowed, since programs do leave some.
 */
bool body_hides_end(const char *, size_t);

#endif /* BODY_H */
