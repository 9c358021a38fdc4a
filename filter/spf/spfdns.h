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
 * A resolver for libspf2, on spfask.h.  Unlike libspf2's own it opens no file
 * or socket, tells the TTL, and does not ask for records of the type SPF, which
 * RFC 7208, 3.1 has abolished.
 */

/*
 * Makes the resolver, one per process.  A question is given up a second before
 * timeout milliseconds are over, but not within the first second.  NULL when
 * out of memory.
 */
SPF_dns_server_t *spfdns_new(int timeout);

/* Forgets the TTLs so far, and sets the domain whose record is kept. */
void spfdns_begin(const char *domain);

/* Since spfdns_begin(): the lowest TTL, and how many questions failed. */
uint32_t     spfdns_ttl(void);
unsigned int spfdns_failures(void);

/* The first SPF record that the domain was found to have, or "", cut off at
 * SPFDNS_RECORD - 1 bytes. */
#define SPFDNS_RECORD 4096
const char *spfdns_record(void);

/*
 * Ends the process if the error of libspf2 means that memory is short.  A new
 * process then tries again.
 */
void spfdns_check_memory(SPF_errcode_t);

#endif /* SPFDNS_H */
