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

/* When out of memory, a new session is refused and the others go on. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "alarms.h"
#include "digest.h"
#include "header.h"
#include "id.h"
#include "netaddr.h"
#include "user.h"

struct late_login;
struct request;

/* Most sessions at a time; a further one is refused with 451. */
#define SESSION_MAX 100000

/* Longest envelope sender kept, with its NUL: RFC 5321, 4.5.3.1. */
#define SENDER_TEXT 322

/*
 * The login of a session.  The session remembers, as a digest, the hash that
 * was stored when it logged in.  If the stored hash changes, the login no
 * longer counts.
 */
enum login {
	LOGIN_NONE,  /* no login; its address may authenticate a user */
	LOGIN_NAMED, /* AUTH has shown the name of a user */
	LOGIN_SHOWN, /* and the user's hash was read: bound is set */
	/* smtpd has verified a credential: */
	LOGIN_ASKED,	/* the hash is being read */
	LOGIN_BOUND,	/* bound is set */
	LOGIN_NOBODY,	/* there is no such user with a password */
	LOGIN_NAMELESS, /* no user can have the name */
	LOGIN_FAILED	/* the hash could not be read; this is final */
};

/* How far a message has come. */
enum tx_state {
	TX_NOBODYS, /* MAIL FROM is being judged, or was refused */
	TX_TRUSTED, /* of a local session: not judged */
	TX_OPEN,    /* MAIL FROM was accepted, for tx->user */
	TX_PASSED   /* we have accepted the message at the end of data */
};

/* Its reservation. */
enum reservation {
	RESERVATION_NONE,
	RESERVATION_ASKED, /* may have been made */
	RESERVATION_MADE
};

/* A message under way. */
struct tx {
	enum tx_state	 state;
	enum reservation reservation;
	char		 reservation_id[ID_TEXT];
	char reservation_account[USER_NAME_MAX + 1]; /* "": the user's alone */
	/* From TX_OPEN on: its user, and the user's account then. */
	char		      user[USER_NAME_MAX + 1];
	char		      account[USER_NAME_MAX + 1];
	bool		      sandboxed;
	bool		      alarmed;	       /* alarms count it */
	struct alarm_limits   alarms;	       /* by these limits */
	struct alarms_digests recipients_seen; /* where these are counted */
	bool	      any_domain;     /* its domains are asked about early */
	bool	      damaged;	      /* a line of it was lost */
	bool	      hidden_end;     /* it seems to end early */
	uint32_t      msgid;	      /* smtpd's; 0: none yet */
	size_t	      recipients;     /* that we have accepted */
	int64_t	      max_recipients; /* 0 or less: any number */
	bool	      suppresses;     /* the user has recipients without mail */
	bool	      account_suppresses;
	size_t	      suppressed;      /* recipients refused for that */
	char	      to[SENDER_TEXT]; /* the last recipient, if suppresses */
	uint64_t      size; /* bytes of its lines and their ends, so far */
	uint8_t	      recipient[DIGEST_LEN]; /* the last, while smtpd may
					       refuse it */
	struct header header;
	char	      sender[SENDER_TEXT];
};

/* An SMTP session, as smtpd's reports tell of it. */
struct session {
	uint64_t       id;
	UT_hash_handle hh;
	LIST_HEAD(, request) requests; /* not yet answered */
	struct late_login  *late;      /* LOGIN_ASKED; else NULL */
	struct tx	   *tx;	       /* NULL: no message */
	struct netaddr	    source;    /* len 0: none, or unreadable */
	bool		    local;     /* smtpd's own socket */
	enum login	    login;
	uint8_t		    bound[DIGEST_LEN];
	struct alarm_limits alarms; /* from LOGIN_SHOWN on */
	/* From LOGIN_NAMED on; "" for LOGIN_NAMELESS. */
	char name[USER_NAME_MAX + 1];
};

struct sessions {
	struct session *byid;
};

/* Finds a session; NULL if there is none with that id. */
struct session *session_find(const struct sessions *, uint64_t);

/*
 * Opens a session from a source as link-connect writes it: 192.0.2.1:25,
 * [2001:db8::1]:25 or unix:path.  NULL when there are too many, or out of
 * memory.  There must be no session with that id.
 */
struct session *session_open(struct sessions *, uint64_t, const char *);

/* Frees a session.  Its requests and queries must be gone already. */
void session_close(struct sessions *, struct session *);

/* Whether smtpd has verified a credential. */
bool session_authenticated(const struct session *);

/* Remembers the stored hash of the user, "$6$...", as a digest. */
void session_bind_to(struct session *, enum login, const char *hash);

/* Whether a stored hash is the one that was remembered. */
bool session_is_bound_to(const struct session *, const char *hash);

/*
 * The name of the message's user, else of the user who has logged in, else "".
 * A name at AUTH that has not succeeded does not count.
 */
const char *session_user(const struct session *);

/*
 * Begins a message with an envelope sender, and ends the one before.  NULL when
 * out of memory.
 */
struct tx *session_begin_tx(struct session *, const char *);

/* Forgets the message under way. */
void session_end_tx(struct session *);

/* The source for people: an address, "local" or "unknown". */
const char *session_source(const struct session *, char[NETADDR_TEXT]);

#endif /* SESSION_H */
