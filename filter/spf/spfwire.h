/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFWIRE_H
#define SPFWIRE_H

#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "domain.h"

/*
 * What goes between the filter and a worker, over a socket of type
 * SOCK_SEQPACKET, a message each: a struct spf_orders first, then a domain as
 * A-labels without a NUL, answered by a struct spf_answer before the next one.
 * Both sides are the same program on the same machine.
 */

/* What a check asks for: the part of the configuration that workers get. */
struct spf_orders {
	enum spf_mode  mode;
	int	       timeout;	      /* milliseconds */
	char	       resolver[128]; /* "": the system's */
	size_t	       nincludes;
	char	       includes[CONF_INCLUDES][DOMAIN_TEXT];
	size_t	       nrelays;
	struct netaddr relays[CONF_RELAYS];
};

enum spf_verdict {
	SPF_VERDICT_OK,
	SPF_VERDICT_NONE,	  /* no record */
	SPF_VERDICT_SEVERAL,	  /* more than one */
	SPF_VERDICT_SYNTAX,	  /* one that cannot be understood */
	SPF_VERDICT_NOT_INCLUDED, /* none of spf_include is in it */
	SPF_VERDICT_NOT_PASS,	  /* not for every address of spf_relays */
	SPF_VERDICT_UNKNOWN	  /* the DNS gave no answer in time */
};

/* How much of a record is kept for the report, with its NUL. */
#define SPF_RECORD 512

struct spf_answer {
	enum spf_verdict verdict;
	uint32_t	 ttl;		      /* seconds, of what was read */
	char		 domain[DOMAIN_TEXT]; /* that was asked about */
	char		 record[SPF_RECORD];  /* the domain's; "": none */
};

#endif /* SPFWIRE_H */
