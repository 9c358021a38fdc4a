/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef QUOTAPART_H
#define QUOTAPART_H

#include <stdbool.h>
#include <stddef.h>

#include "domain.h"
#include "id.h"
#include "quota.h"
#include "quotakeys.h"
#include "user.h"

struct event;
struct servers_req;

/*
 * The inside of a question of filter/quota.h, for filter/quota.c, which asks
 * it, and filter/quotareply.c, which reads the answers.  For no other file.
 */

/* How far a part is. */
enum part_state {
	PART_UNUSED,  /* nothing is asked */
	PART_WAITING, /* to be sent */
	PART_UNHEARD, /* sent: it may have been made */
	PART_MADE,    /* answered: made, or not known not to be */
	PART_NOT_MADE /* or given back */
};

/* The reservation of the user, or of the account. */
struct quota_part {
	struct quota_query *query;
	enum charged	    kind; /* its index in the query */
	struct servers_req *req;
	struct event	   *retry;
	enum part_state	    state;
	char		    name[USER_NAME_MAX + 1];
	enum quota_result   result;
	/* As in the answer: */
	bool		 passing;
	bool		 never;
	enum quota_whose whose;
	char		 domain[DOMAIN_TEXT];
	char		 reply[QUOTA_REPLY];
};

struct quota_query {
	const struct quotas *quotas;
	quota_cb	     cb;
	void		    *arg;
	bool		     reserves; /* or only checks */
	struct quota_part    parts[NCHARGED];
	char		     id[ID_TEXT];
	char		     units[24];
	size_t		     nalarm;
	char		    *alarm[QUOTA_WORDS];
	int		     argc;
	const char	   **argv; /* of the user's part, from the tags on */
	char		    *text; /* that it points to */
};

#endif /* QUOTAPART_H */
