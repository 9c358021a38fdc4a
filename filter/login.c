/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>

#include "alarms.h"
#include "conf.h"
#include "decide.h"
#include "failures.h"
#include "filter.h"
#include "inquiry.h"
#include "log.h"
#include "login.h"
#include "request.h"
#include "sasl.h"
#include "totals.h"
#include "userlog.h"
#include "users.h"

static void
log_login(struct filter *f, const struct session *s, const char *name,
    const char *result, const char *reply)
{
	const struct userlog_entry entry = {
		.event = "login", .result = result, .reply = reply, .size = -1
	};

	userlog_add(f->writequeue, f->conf->prefix, s, name, &entry);
}

/* What comes again and again is logged once in a while. */
static void
on_connect_decided(void *arg, const struct decision *d, const struct user *user)
{
	struct request *req = arg;

	(void)user;
	if (d->action == ACTION_PROCEED)
		request_proceed(req);
	else if (failures_worth_logging(&req->filter->failures,
		     &req->session->source))
		request_refuse(req, d);
	else
		request_refuse_quietly(req, d);
}

void
login_connect(struct request *req)
{
	const struct inquiry_subject subject = { .stage = STAGE_CONNECT,
		.session = req->session };

	inquiry_begin(req->filter, &subject, on_connect_decided, req,
	    &req->inquiry);
}

/* Keeps who it may be, and with which hash, for when smtpd has verified it. */
static void
note_user(const struct conf *conf, struct session *s, const struct user *user)
{
	if (user == NULL)
		return;
	alarms_limits(conf, user, &s->alarms);
	strlcpy(s->name, user->name, sizeof(s->name));
	s->login = LOGIN_NAMED;
	if (user_can_log_in(user))
		session_bind_to(s, LOGIN_SHOWN, user->password);
}

static void
on_login_decided(void *arg, const struct decision *d, const struct user *user)
{
	struct request *req = arg;

	note_user(req->filter->conf, req->session, user);
	/* Where Redis cannot be asked smtpd says so, and logs no credential. */
	if (d->action != ACTION_REJECT || d->outcome == OUTCOME_UNDECIDED) {
		request_proceed(req);
		return;
	}
	log_login(req->filter, req->session, req->session->name, "refused",
	    d->reply);
	request_refuse(req, d);
}

void
login_request(struct request *req, const char *args)
{
	struct session	      *s = req->session;
	struct inquiry_subject subject = { .stage = STAGE_AUTH, .session = s };
	struct sasl	       sasl;
	char		       name[USER_NAME_MAX + 1];

	/* smtpd refuses to authenticate twice. */
	if (session_authenticated(s)) {
		request_proceed(req);
		return;
	}
	s->login = LOGIN_NONE;
	s->name[0] = '\0';
	sasl_parse(args, &sasl);
	if (sasl.form == SASL_HIDDEN || !user_fold_name(sasl.name, name))
		request_proceed(req);
	else {
		subject.name = name;
		if (sasl.form == SASL_CREDENTIAL)
			subject.password = sasl.password;
		inquiry_begin(req->filter, &subject, on_login_decided, req,
		    &req->inquiry);
	}
	sasl_clear(&sasl);
}

/*
 * A login as a user whom AUTH did not show, and who has yet to be asked for:
 * only users who are there have a log, and a session is held to the hash that
 * is there.  The client may leave meanwhile, so it is apart from its session.
 */
struct late_login {
	LIST_ENTRY(late_login) entry;
	struct filter	   *filter;
	struct session	   *session; /* that waits for it, or NULL */
	struct users_query *query;
	uint64_t	    id;	      /* of the session */
	struct netaddr	    source;   /* likewise */
	bool		    local;    /* likewise */
	bool		    verified; /* smtpd knows that there is the user */
	char		    name[USER_NAME_MAX + 1];
};

/* The hash that smtpd has verified against is, as far as is known, there now. */
static void
bind_session(struct session *s, enum users_found found, const struct user *user)
{
	/* Nobody has verified anything against a password that is locked. */
	if (found == USER_OK && user->password[0] != '\0')
		session_bind_to(s, LOGIN_BOUND, user->password);
	else if (found == USER_OK || found == USER_NONE)
		s->login = LOGIN_NOBODY;
	else
		s->login = LOGIN_FAILED;
}

static void
count_late(const struct late_login *late, const struct user *user)
{
	struct alarm_limits limits;

	alarms_limits(late->filter->conf, user, &limits);
	alarms_login(&late->filter->alarms, user->name, &limits, &late->source);
}

static void
log_late(const struct late_login *late)
{
	const struct session was = {
		.id = late->id, .source = late->source, .local = late->local
	};

	log_login(late->filter, &was, late->name,
	    late->verified ? "accepted" : "refused",
	    late->verified ? NULL : REPLY_AUTH_FAILED);
}

static void
free_late(struct late_login *late)
{
	if (late->session != NULL)
		late->session->late = NULL;
	LIST_REMOVE(late, entry);
	free(late);
}

static void
on_late_user(void *arg, enum users_found found, const struct user *user)
{
	struct late_login *late = arg;

	if (late->session != NULL)
		bind_session(late->session, found, user);
	if (user != NULL && late->verified)
		count_late(late, user);
	if (found == USER_OK || (found == USER_UNAVAILABLE && late->verified))
		log_late(late);
	free_late(late);
}

/* NULL when memory is short. */
static struct late_login *
new_late(struct filter *f, const struct session *s, const char *name)
{
	struct late_login *late;

	if ((late = calloc(1, sizeof(*late))) == NULL)
		return (NULL);
	late->filter = f;
	late->id = s->id;
	late->source = s->source;
	late->local = s->local;
	late->verified = session_authenticated(s);
	strlcpy(late->name, name, sizeof(late->name));
	LIST_INSERT_HEAD(&f->late_logins, late, entry);
	return (late);
}

static void
ask_late(struct late_login *late)
{
	const struct users_question question = { .name = late->name };

	late->query = users_ask(late->filter->users, &question, on_late_user,
	    late);
	if (late->query == NULL)
		on_late_user(late, USER_UNAVAILABLE, NULL);
}

void
login_leave(struct session *s)
{
	if (s->late != NULL)
		s->late->session = NULL;
	s->late = NULL;
}

void
login_stop(struct filter *f)
{
	struct late_login *late, *next;

	LIST_FOREACH_SAFE(late, &f->late_logins, entry, next) {
		users_cancel(late->query);
		free_late(late);
	}
}

static void
pass_late(struct filter *f, struct session *s, const char *name)
{
	strlcpy(s->name, name, sizeof(s->name));
	s->login = LOGIN_ASKED;
	if ((s->late = new_late(f, s, name)) == NULL) {
		s->login = LOGIN_FAILED;
		return;
	}
	s->late->session = s;
	ask_late(s->late);
}

static void
fail_late(struct filter *f, const struct session *s, const char *name)
{
	struct late_login *late;

	if ((late = new_late(f, s, name)) != NULL)
		ask_late(late);
}

void
login_passed(struct filter *f, struct session *s, const char *as_typed)
{
	char name[USER_NAME_MAX + 1];

	login_leave(s);
	failures_count(&f->failures, &s->source, false);
	totals_count(f->totals, TOTALS_LOGIN, TOTALS_ACCEPTED, REASON_NONE, 1);
	if (!user_fold_name(as_typed, name)) {
		log_session(s->id,
		    "logged in with a name that no user has: it cannot send");
		s->name[0] = '\0';
		s->login = LOGIN_NAMELESS;
		return;
	}
	/* Already held to the hash from before smtpd verified it. */
	if (s->login == LOGIN_SHOWN && strcmp(s->name, name) == 0) {
		s->login = LOGIN_BOUND;
		alarms_login(&f->alarms, name, &s->alarms, &s->source);
		log_login(f, s, name, "accepted", NULL);
		return;
	}
	pass_late(f, s, name);
}

void
login_failed(struct filter *f, struct session *s, const char *as_typed)
{
	char name[USER_NAME_MAX + 1];

	failures_count(&f->failures, &s->source, true);
	totals_count(f->totals, TOTALS_LOGIN, TOTALS_REFUSED, REASON_NONE, 1);
	if (session_authenticated(s) || !user_fold_name(as_typed, name))
		return;
	if (s->login != LOGIN_NONE && strcmp(s->name, name) == 0)
		log_login(f, s, name, "refused", REPLY_AUTH_FAILED);
	else
		fail_late(f, s, name);
	s->login = LOGIN_NONE;
}
