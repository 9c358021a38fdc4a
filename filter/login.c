/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * Who a session is: what AUTH shows before smtpd verifies it, and what smtpd
 * says when it has.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "filter.h"
#include "log.h"
#include "passwd.h"
#include "redisconn.h"
#include "sasl.h"
#include "user.h"
#include "userlog.h"

static bool
may_come_from(const struct request *req, const struct user *user)
{
	const struct session *s = req->session;

	if (s->local && req->filter->conf->local == LOCAL_TRUST)
		return (true);
	return (user_allows_source(user, &s->source));
}

/* Holds the session to the hash that the user has now. */
static void
hold_to_hash(struct session *s, const struct user *user)
{
	const char *hash = user->password;

	digest_strings(s->bound, 1, &hash);
	s->binding = BINDING_HELD;
}

static void
log_login(struct filter *f, const struct session *s, const char *result,
    const char *reply)
{
	userlog_add(f, s, s->name, "login", result, reply, NULL, -1);
}

static void
on_verified(void *arg, enum passwd_result result)
{
	struct request *req = arg;

	req->job = NULL;
	switch (result) {
	case PASSWD_RIGHT:
		log_login(req->filter, req->session, "refused", REPLY_SOURCE);
		request_reject(req, REPLY_SOURCE);
		break;
	case PASSWD_WRONG:
	case PASSWD_ERROR:
		request_proceed(req);
		break;
	}
}

/*
 * Only who knows the password learns that the source is the trouble, so it is
 * verified here, in a thread, before that is said.  Any other password is left
 * to smtpd, which refuses it in its own words, after its own pause, and
 * without the credential in its log, where a command goes that a filter has
 * refused.  Should the password be changed to that one meanwhile, MAIL FROM
 * still finds the source.
 */
static void
refuse_source(struct request *req, const struct user *user)
{
	req->job = passwd_check(req->filter->pool, user->name,
	    req->sasl->password, user->password, on_verified, req);
	if (req->job == NULL)
		request_proceed(req);
	else
		request_take_time(req);
}

static void
judge(struct request *req, const struct user *user)
{
	struct session *s = req->session;

	if (user != NULL)
		strlcpy(s->name, user->name, sizeof(s->name));
	/* smtpd refuses them all alike. */
	if (user == NULL || !user_active(user) || user->password[0] == '\0') {
		request_proceed(req);
		return;
	}
	hold_to_hash(s, user);
	if (req->sasl->form == SASL_CREDENTIAL && !may_come_from(req, user))
		refuse_source(req, user);
	else
		request_proceed(req);
}

static void
on_user(void *arg, enum user_found found, const struct user *user)
{
	struct request *req = arg;

	req->query = NULL;
	if (found == USER_OK || found == USER_NONE)
		judge(req, user);
	else
		request_tempfail(req);
}

static void
on_alive(void *arg, const redisReply *reply)
{
	struct request *req = arg;

	req->alive = NULL;
	if (reply != NULL)
		request_proceed(req);
	else
		request_tempfail(req);
}

/*
 * smtpd is about to ask Redis, through the table, and has a worse reply when
 * it gets no answer.  Where there is nobody to ask about, this tells.
 */
static void
proceed_if_alive(struct request *req)
{
	const char *ping = "PING";

	req->alive = redisconn_send(req->filter->redis, on_alive, req, 1, &ping,
	    NULL);
	if (req->alive == NULL)
		request_tempfail(req);
}

void
login_request(struct request *req, const char *args)
{
	struct filter  *f = req->filter;
	struct session *s = req->session;
	char		name[USER_NAME_MAX + 1];

	s->name[0] = '\0';
	s->binding = BINDING_NONE;
	if ((req->sasl = calloc(1, sizeof(*req->sasl))) == NULL) {
		request_tempfail(req);
		return;
	}
	sasl_parse(args, req->sasl);
	if (req->sasl->form == SASL_HIDDEN ||
	    !user_fold_name(req->sasl->name, name)) {
		proceed_if_alive(req);
		return;
	}
	req->query = user_ask(f->redis, f->conf, name, 0, NULL, on_user, req);
	if (req->query == NULL)
		request_tempfail(req);
}

/*
 * An entry for the log of a user whom AUTH did not show, and who has yet to be
 * asked for: only users who are there have a log.  The client may leave
 * meanwhile, so it is held apart from its session.
 */
struct late_entry {
	LIST_ENTRY(late_entry) entry;
	struct filter	  *filter;
	struct session	   session; /* as it was */
	struct user_query *query;
	const char	  *result;
	const char	  *reply;
};

static LIST_HEAD(,
    late_entry) late_entries = LIST_HEAD_INITIALIZER(late_entries);

static void
free_late(struct late_entry *late)
{
	LIST_REMOVE(late, entry);
	free(late);
}

static void
on_late(void *arg, enum user_found found, const struct user *user)
{
	struct late_entry *late = arg;

	(void)user;
	if (found == USER_OK)
		log_login(late->filter, &late->session, late->result,
		    late->reply);
	free_late(late);
}

static void
log_late(struct filter *f, const struct session *s, const char *name,
    const char *result, const char *reply)
{
	struct late_entry *late;

	if ((late = calloc(1, sizeof(*late))) == NULL)
		return;
	late->filter = f;
	late->session = *s;
	late->session.tx = NULL;
	strlcpy(late->session.name, name, sizeof(late->session.name));
	late->result = result;
	late->reply = reply;
	LIST_INSERT_HEAD(&late_entries, late, entry);
	late->query = user_ask(f->redis, f->conf, name, USER_NO_SOURCES, NULL,
	    on_late, late);
	if (late->query == NULL)
		free_late(late);
}

void
login_stop(void)
{
	struct late_entry *late, *next;

	LIST_FOREACH_SAFE(late, &late_entries, entry, next) {
		user_cancel(late->query);
		free_late(late);
	}
}

static void
on_binding(void *arg, enum user_found found, const struct user *user)
{
	struct session *s = arg;

	s->binding_query = NULL;
	if (found == USER_OK)
		hold_to_hash(s, user);
	else
		s->binding = found == USER_NONE ? BINDING_NOBODY
						: BINDING_FAILED;
}

void
login_passed(struct filter *f, struct session *s, const char *as_typed)
{
	char name[USER_NAME_MAX + 1];

	s->authenticated = true;
	if (!user_fold_name(as_typed, name)) {
		log_session(s->id, "authenticated as no possible user");
		s->name[0] = '\0';
		s->binding = BINDING_NOBODY;
		return;
	}
	/* Already held to the hash from before smtpd verified it. */
	if (s->binding == BINDING_HELD && strcmp(s->name, name) == 0) {
		log_login(f, s, "accepted", NULL);
		return;
	}
	strlcpy(s->name, name, sizeof(s->name));
	s->binding = BINDING_NONE;
	if (s->binding_query != NULL)
		user_cancel(s->binding_query);
	s->binding_query = user_ask(f->redis, f->conf, name, USER_NO_SOURCES,
	    NULL, on_binding, s);
	if (s->binding_query == NULL)
		s->binding = BINDING_FAILED;
	log_late(f, s, name, "accepted", NULL);
}

void
login_failed(struct filter *f, struct session *s, const char *as_typed)
{
	char name[USER_NAME_MAX + 1];

	s->binding = BINDING_NONE;
	if (s->authenticated || !user_fold_name(as_typed, name))
		return;
	if (strcmp(s->name, name) == 0)
		log_login(f, s, "refused", REPLY_AUTH_FAILED);
	else
		log_late(f, s, name, "refused", REPLY_AUTH_FAILED);
}
