/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef FILTER_H
#define FILTER_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "session.h"

struct conf;
struct event;
struct event_base;
struct functions;
struct journal;
struct passwd_job;
struct passwd_pool;
struct quota_query;
struct redisconn;
struct redisreq;
struct reportids;
struct sasl;
struct spf;
struct spf_question;

/* What every decision needs. */
struct filter {
	struct conf	   *conf;
	struct event_base  *base;
	struct redisconn   *redis;
	struct passwd_pool *pool;
	struct journal	   *journal;
	struct reportids   *reportids;
	struct functions   *functions;
	struct spf	   *spf; /* NULL: off */
	struct sessions	    sessions;
};

/*
 * A question of smtpd's that waits for its answer.  It belongs to its session
 * and goes with it; answering frees it.  When its time runs out first, expire
 * answers with the temporary failure that it was made with.
 */
struct request {
	LIST_ENTRY(request) entry;
	struct filter  *filter;
	struct session *session;
	uint64_t	token;
	const char     *what; /* for the log: "auth", ... */
	const char     *tempfail;
	void (*expire)(struct request *);
	struct user_query   *query;
	struct passwd_job   *job;
	struct sasl	    *sasl;  /* AUTH: what it shows */
	struct redisreq	    *alive; /* whether Redis answers */
	struct spf_question *spf_question;
	unsigned int	     spf_asked; /* how many before that */
	struct quota_query  *quota_query;
	struct event	    *timer;
};

#define REPLY_AUTH_REQUIRED "530 5.7.0 Authentication required"
#define REPLY_AUTH_FAILED "535 Authentication failed"
#define REPLY_SOURCE "535 5.7.8 IP not authorized"
#define REPLY_TEMPFAIL "451 4.3.0 Temporary failure"
#define REPLY_SPF                                \
	"451 4.4.3 SPF could not be looked up, " \
	"try again later"
#define REPLY_AUTH_TEMPFAIL "454 4.7.0 Temporary authentication failure"

/*
 * The answers.  Each is logged but the first, and frees the request.  The
 * reply is a whole one, RFC 5321 4.2: code, enhanced code, text.
 */
void request_proceed(struct request *);
void request_rewrite(struct request *, const char *recipient);
void request_reject(struct request *, const char *reply);
void request_disconnect(struct request *, const char *reply);
void request_tempfail(struct request *);

/*
 * Lifts the deadline, as what goes on now has one of its own, and sets it
 * anew.
 */
void request_take_time(struct request *);
void request_hurry(struct request *);

/*
 * AUTH: a right credential from a source that its user does not allow is
 * refused here where the credential can be seen.  Everything else is smtpd's
 * to judge.  args are the client's.
 */
void login_request(struct request *, const char *args);

/* smtpd has verified a credential; name is as the client wrote it. */
void login_passed(struct filter *, struct session *, const char *name);

/* Forgets what is not in the logs yet. */
void login_stop(void);

/* smtpd has refused a credential. */
void login_failed(struct filter *, struct session *, const char *name);

/*
 * Whose the message is, or the session without one, as far as it is known: a
 * name that was only tried at AUTH is nobody's.  "" if it is not.
 */
const char *sender_name(const struct session *);

/*
 * MAIL FROM: the session must be a user's, from a source that it allows, and
 * the envelope sender in a domain that the user may send as.
 */
void sender_request(struct request *, const char *sender);

/*
 * The message's header is complete: what will be asked about it is asked
 * early.
 */
void header_complete(struct filter *, struct session *);

/* RCPT TO: a sandboxed user's recipients go nowhere. */
void recipient_request(struct request *, const char *recipient);

/*
 * smtpd has taken a recipient or refused it, which then does not count.  Only
 * what it says of the one that was let through last is believed, and that once:
 * it does not report every recipient that it takes.
 */
void recipient_settled(struct session *, const char *recipient, bool taken);

/*
 * End of data: what MAIL FROM was accepted for must still hold, and the From
 * header's domains must be allowed too.
 */
void commit_request(struct request *);

/* smtpd has taken the message, of so many bytes, or has not. */
void message_taken(struct filter *, struct session *, uint64_t size);
void message_dropped(struct filter *, struct session *);

#endif /* FILTER_H */
