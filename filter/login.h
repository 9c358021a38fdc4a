/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef LOGIN_H
#define LOGIN_H

struct filter;
struct request;
struct session;

/*
 * Who a session is: what AUTH shows before smtpd verifies it, and what smtpd
 * says when it has.
 */

/* Connect: a source whose logins have failed too often is refused. */
void login_connect(struct request *);

/*
 * AUTH: a right credential from a source that its user does not allow is
 * refused here where the credential can be seen.  Everything else is smtpd's
 * to judge.  args are the client's.
 */
void login_request(struct request *, const char *args);

/* smtpd has verified a credential, or refused it; name is as it was typed. */
void login_passed(struct filter *, struct session *, const char *name);
void login_failed(struct filter *, struct session *, const char *name);

/* Forgets what is not in the logs yet. */
void login_stop(struct filter *);

#endif /* LOGIN_H */
