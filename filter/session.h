/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SESSION_H
#define SESSION_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A session that finds no memory is refused; the others go on. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "digest.h"
#include "header.h"
#include "netaddr.h"
#include "quota.h"
#include "user.h"

struct filter;
struct request;

/* Sessions known at once at most; a further one is refused with 451. */
#define SESSION_MAX 100000

/*
 * Whether the session is still held to the password that it has shown.  The
 * hash that was stored when it did is kept as a digest, and compared at each
 * command that matters.
 */
enum binding {
	BINDING_NONE, /* not known yet */
	BINDING_HELD,
	BINDING_NOBODY, /* the user was gone at once */
	BINDING_FAILED	/* Redis could not be asked */
};

/* Longest envelope sender kept, with its NUL: RFC 5321, 4.5.3.1. */
#define SENDER_TEXT 322

/* A message under way: from MAIL FROM to what comes of it. */
struct tx {
	char	      user[USER_NAME_MAX + 1]; /* "": nobody's */
	bool	      trusted; /* of a local session: not judged */
	bool	      sandboxed;
	bool	      any_domain;     /* its domains are asked about early */
	bool	      damaged;	      /* a line of it was lost */
	bool	      hidden_end;     /* it seems to end early */
	bool	      accepted;	      /* by us, at the end of data */
	char	      hold[QUOTA_ID]; /* its reservation; "": none */
	uint32_t      msgid;	      /* smtpd's; 0: none yet */
	size_t	      recipients;     /* that we have let through */
	uint8_t	      recipient[DIGEST_LEN]; /* the last, while smtpd may
					       refuse it */
	struct header header;
	char	      sender[SENDER_TEXT];
};

/* An SMTP session, as smtpd's reports tell of it. */
struct session {
	uint64_t       id;
	UT_hash_handle hh;
	struct filter *filter;
	LIST_HEAD(, request) requests; /* not yet answered */
	struct user_query *binding_query;
	struct tx	  *tx;	   /* NULL: no message */
	struct netaddr	   source; /* len 0: none, or unreadable */
	bool		   local;  /* smtpd's own socket */
	bool		   authenticated;
	enum binding	   binding;
	uint8_t		   bound[DIGEST_LEN];
	char		   name[USER_NAME_MAX + 1]; /* of the AUTH seen,
						     or authenticated */
};

struct sessions {
	struct session *byid;
};

/* Finds a session; NULL when there is none of that id. */
struct session *session_find(const struct sessions *, uint64_t);

/*
 * Opens a session from a source as link-connect writes it: 192.0.2.1:25,
 * [2001:db8::1]:25 or unix:path.  NULL when there are too many, or memory is
 * short.  There must be none of that id.
 */
struct session *
session_open(struct sessions *, struct filter *, uint64_t, const char *);

/* Frees a session.  Its requests and queries must be gone already. */
void session_close(struct sessions *, struct session *);

/*
 * Begins a message from an envelope sender, forgetting the one before.  NULL
 * when memory is short.
 */
struct tx *session_begin_tx(struct session *, const char *);

/* Forgets the message under way. */
void session_end_tx(struct session *);

/* The source for people: an address, "local" or "unknown". */
const char *session_source(const struct session *, char[NETADDR_TEXT]);

#endif /* SESSION_H */
