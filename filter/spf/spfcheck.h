/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
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
