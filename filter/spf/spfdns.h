/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFDNS_H
#define SPFDNS_H

#include <spf2/spf_dns.h>
#include <spf2/spf_response.h>

#include <stdint.h>

/*
 * A resolver for libspf2, on spfask.h: unlike libspf2's own it needs to open
 * nothing, tells the TTL, and asks for no records of the type SPF, which
 * RFC 7208, 3.1 has done away with.
 */

/*
 * Makes the one resolver of the process.  A question is given up a second
 * before timeout milliseconds, but not within the first.  NULL when memory is
 * short.
 */
SPF_dns_server_t *spfdns_new(int timeout);

/* Forgets the TTLs met, and sets the domain whose record is kept. */
void spfdns_begin(const char *domain);

/* Since spfdns_begin(): the lowest TTL, and how often DNS gave no answer. */
uint32_t     spfdns_ttl(void);
unsigned int spfdns_failures(void);

/* The first SPF record that the domain was found to have, or "", cut off at
 * SPFDNS_RECORD - 1 bytes. */
#define SPFDNS_RECORD 4096
const char *spfdns_record(void);

/*
 * Ends the process when that is what libspf2 says of memory: nothing is known
 * of the domain then, and what has been lost of memory comes back with another
 * process.
 */
void spfdns_check_memory(SPF_errcode_t);

#endif /* SPFDNS_H */
