/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef CONFVALUE_H
#define CONFVALUE_H

#include <confuse.h>

struct conf;

/*
 * Which values smtpusers.conf(5) may have.  What is wrong is told by
 * cfg_error().  One file is read at a time.
 */

/* Has each value checked as it is read. */
void confvalue_check(cfg_t *);

/*
 * Checks what one key says of another, of a configuration that was read, and
 * reads the password into it.  0, or -1 after an error.
 */
int confvalue_check_whole(struct conf *, cfg_t *);

#endif /* CONFVALUE_H */
