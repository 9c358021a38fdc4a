/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFCHECK_H
#define SPFCHECK_H

#include <netinet/in.h>

#include <spf2/spf.h>

#include "spfwire.h"

/*
 * Checks a domain by libspf2.  Blocks, so it is for workers.  The resolver of
 * the server is that of spfdns_new().
 */
void spfcheck(SPF_server_t *, const struct spf_orders *, const char *,
    struct spf_answer *);

#endif /* SPFCHECK_H */
