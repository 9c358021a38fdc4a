/*
 * Copyright (c) 2026 The smtpusers authors
 *
 * Permission to use, copy, modify, and distribute this software for any
 * purpose with or without fee is hereby granted, provided that the above
 * copyright notice and this permission notice appear in all copies.
 *
 * THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
 * WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
 * MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
 * ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
 * WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
 * ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
 * OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
 */

#ifndef SPFCHECK_H
#define SPFCHECK_H

#include <netinet/in.h>

#include <spf2/spf.h>

#include "conf.h"
#include "spf.h"

/* What a check asks for: the part of the configuration that workers get. */
struct spfcheck {
	enum spf_mode  mode;
	int	       timeout;	      /* milliseconds */
	char	       resolver[128]; /* "": the system's */
	size_t	       nincludes;
	char	       includes[CONF_INCLUDES][DOMAIN_TEXT];
	size_t	       nrelays;
	struct netaddr relays[CONF_RELAYS];
};

/*
 * Checks a domain by libspf2, here and now: for workers.  server's resolver
 * is that of spfdns_new().
 */
void spfcheck(SPF_server_t *, const struct spfcheck *, const char *,
    struct spf_answer *);

#endif /* SPFCHECK_H */
