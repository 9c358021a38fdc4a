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
 * Finds out the user of a session: from AUTH before smtpd verifies the
 * credential, and from smtpd's reports afterwards.
 */

/* Connect: refuses a source whose logins have failed too often. */
void login_connect(struct request *);

/*
 * AUTH: refuses a right credential from a source that its user does not allow,
 * if the command shows the credential.  smtpd decides everything else.  args
 * are those of the client.
 */
void login_request(struct request *, const char *args);

/* smtpd has accepted or refused a credential; the name is as typed. */
void login_passed(struct filter *, struct session *, const char *name);
void login_failed(struct filter *, struct session *, const char *name);

/* The session ends; its login is still logged. */
void login_leave(struct session *);

/* At the end: drops the entries for users' logs that are not written yet. */
void login_stop(struct filter *);

#endif /* LOGIN_H */
