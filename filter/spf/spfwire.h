/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFWIRE_H
#define SPFWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "domain.h"

/*
 * The messages between the filter, the starter and the workers, over sockets of
 * type SOCK_SEQPACKET.  All are the same program on the same machine.
 *
 * The filter sends the starter a struct spf_start; a worker gets a struct
 * spf_orders first, then a domain as A-labels without a NUL, which it answers
 * by a struct spf_answer before the next one.  For every question to the DNS
 * the worker sends the starter a struct spf_want, answered by a struct
 * spf_given and a socket.
 */

/* A worker's socket to the starter; that to the filter is standard input. */
#define SPF_STARTER_FD 3

#define SPF_WORKERS_MAX 64
#define SPF_RESOLVER 128

/*
 * With a descriptor, the worker's end of its socket to the filter, a worker is
 * started in place of the one before; without, that one is only ended.
 */
struct spf_start {
	uint32_t worker;		 /* below SPF_WORKERS_MAX */
	char	 resolver[SPF_RESOLVER]; /* "": the system's */
};

/* A socket to a name server, for one question. */
struct spf_want {
	uint32_t server; /* the first one is 0 */
	bool	 stream; /* TCP */
};

struct spf_given {
	uint32_t nservers;
	bool	 given; /* the socket comes along */
};

/* What a check asks for: the part of the configuration that workers get. */
struct spf_orders {
	enum spf_mode  mode;
	int	       timeout; /* milliseconds */
	size_t	       nincludes;
	char	       includes[CONF_INCLUDES][DOMAIN_TEXT];
	size_t	       nrelays;
	struct netaddr relays[CONF_RELAYS];
};

enum spf_verdict {
	SPF_VERDICT_OK,
	SPF_VERDICT_NONE,	  /* no record */
	SPF_VERDICT_MULTIPLE,	  /* more than one */
	SPF_VERDICT_SYNTAX,	  /* the record is invalid */
	SPF_VERDICT_NOT_INCLUDED, /* it leads to none of spf_include */
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
