/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * Who may send, and as whom: the judgement of a message at MAIL FROM, and at
 * the end of data, once more, with its header.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>

#include "acl.h"
#include "conf.h"
#include "filter.h"
#include "quota.h"
#include "redisconn.h"
#include "report.h"
#include "spf.h"
#include "user.h"
#include "userlog.h"

#define SANDBOX "sandbox@sandbox.invalid"

static bool
local_trust(const struct request *req)
{
	return (req->session->local && req->filter->conf->local == LOCAL_TRUST);
}

/* Whether the password that the session has shown is still the user's. */
static bool
still_holds(const struct session *s, const struct user *user)
{
	const char *hash = user->password;
	uint8_t	    digest[DIGEST_LEN];

	digest_strings(digest, 1, &hash);
	return (memcmp(digest, s->bound, sizeof(digest)) == 0);
}

static enum standing
standing_of(const struct request *req, enum user_found found,
    const struct user *user)
{
	const struct session *s = req->session;

	if (user == NULL)
		return (found == USER_NONE ? STANDING_NOBODY
					   : STANDING_UNKNOWN);
	if (s->authenticated) {
		if (s->binding == BINDING_NOBODY)
			return (STANDING_NOBODY);
		if (s->binding != BINDING_HELD)
			return (STANDING_UNKNOWN);
		if (!still_holds(s, user))
			return (STANDING_NOBODY);
	}
	return (acl_standing(found, user, &s->source, local_trust(req)));
}

const char *
sender_name(const struct session *s)
{
	if (s->tx != NULL && s->tx->user[0] != '\0')
		return (s->tx->user);
	return (s->authenticated ? s->name : "");
}

/* The user's log has an entry for it: who wrote the message will ask. */
static void
log_deferral(const struct request *req, const char *reply)
{
	const char *name = sender_name(req->session);

	if (name[0] != '\0')
		userlog_add(req->filter, req->session, name, "message",
		    "refused", reply, NULL, -1);
}

/* Refuses for the time being what cannot be judged now. */
static void
defer(struct request *req)
{
	log_deferral(req, req->tempfail);
	request_tempfail(req);
}

static void
defer_spf(struct request *req)
{
	log_deferral(req, REPLY_SPF);
	request_reject(req, REPLY_SPF);
}

/*
 * Asks for the session's user: the authenticated one, else the one whom the
 * source authenticates.  A session that has authenticated as somebody is never
 * taken for the user of its source.
 */
static void
ask(struct request *req, const struct domains *domains, user_cb cb)
{
	struct filter  *f = req->filter;
	struct session *s = req->session;

	if (s->authenticated ? s->name[0] == '\0' : s->source.len == 0) {
		cb(req, USER_NONE, NULL);
		return;
	}
	if (s->authenticated)
		req->query = user_ask(f->redis, f->conf, s->name, 0, domains,
		    cb, req);
	else
		req->query = user_ask_address(f->redis, f->conf, &s->source,
		    domains, cb, req);
	if (req->query == NULL)
		defer(req);
}

/* Refuses a message of a user who is there, and tells the user's log. */
static void
refuse(struct request *req, const struct user *user, const char *reply,
    const char *report)
{
	userlog_add(req->filter, req->session, user->name, "message", "refused",
	    reply, report, -1);
	request_reject(req, reply);
}

static void
block(struct request *req, const struct user *user,
    const struct verdict *verdict)
{
	struct filter *f = req->filter;
	const char *name = user != NULL ? user->name : req->session->tx->user;
	char	    id[REPORT_ID + 1], reply[REPORT_REPLY];

	report_write(f, req->session, user, verdict, id);
	report_reply(f->conf, id, name, reply);
	if (user != NULL)
		refuse(req, user, reply, id);
	else
		request_reject(req, reply);
}

/*
 * The domains that the message claims by its envelope sender and, at the end
 * of data, by its header.
 */
static enum reason
gather(const struct request *req, bool with_header, struct domains *domains)
{
	const struct conf *conf = req->filter->conf;
	const struct tx	  *tx = req->session->tx;
	enum reason	   reason;

	domains->n = 0;
	if (with_header && tx->hidden_end)
		return (REASON_BODY);
	reason = acl_envelope(conf, tx->sender, domains);
	if (reason != REASON_NONE || !with_header)
		return (reason);
	return (acl_header(conf, tx->sender, &tx->header, domains));
}

static const struct spf_answer *
known(void *arg, const char *domain)
{
	struct filter *f = arg;

	return (f->spf != NULL ? spf_known(f->spf, domain) : NULL);
}

/*
 * Judges what a user sends as.  The domains are gathered anew instead of kept
 * while Redis is asked: the same message gives the same.
 */
static struct verdict
judge(const struct request *req, const struct user *user, bool with_header,
    struct domains *domains)
{
	struct verdict v = { REASON_NONE, NULL, NULL };

	v.reason = gather(req, with_header, domains);
	if (v.reason != REASON_NONE)
		return (v);
	return (acl_domains(req->filter->conf, user, domains, known,
	    req->filter));
}

/* Refuses for the quota, and tells the user's log. */
static void
refuse_quota(struct request *req, enum quota_result result, const char *reply)
{
	if (result != QUOTA_FULL) {
		defer(req);
		return;
	}
	userlog_add(req->filter, req->session, req->session->tx->user,
	    "message", "refused", reply, NULL, -1);
	request_reject(req, reply);
}

static void
on_room(void *arg, enum quota_result result, const char *reply)
{
	struct request *req = arg;

	req->quota_query = NULL;
	if (result == QUOTA_OK)
		request_proceed(req);
	else
		refuse_quota(req, result, reply);
}

/*
 * Domains that SPF decides about are asked about now and judged at the end of
 * data, when the answer will be there.
 */
static void
accept_sender(struct request *req, const struct user *user)
{
	struct filter *f = req->filter;
	struct tx     *tx = req->session->tx;
	struct domains domains;
	struct verdict v = judge(req, user, false, &domains);

	if (v.reason == REASON_SPF && f->spf != NULL)
		spf_ask(f->spf, user->name, v.domain, NULL, NULL);
	else if (v.reason != REASON_NONE) {
		block(req, user, &v);
		return;
	}
	strlcpy(tx->user, user->name, sizeof(tx->user));
	tx->sandboxed = user->status == STATUS_SANDBOXED;
	tx->any_domain = user->mode == MODE_ANY && user->pro;
	if (!quota_limited(user)) {
		request_proceed(req);
		return;
	}
	req->quota_query = quota_check(f, user->name, 1, on_room, req);
	if (req->quota_query == NULL)
		defer(req);
}

static void
refuse_source(struct request *req, const struct user *user)
{
	userlog_add(req->filter, req->session, user->name, "message", "refused",
	    REPLY_SOURCE, NULL, -1);
	request_disconnect(req, REPLY_SOURCE);
}

static void
on_sender(void *arg, enum user_found found, const struct user *user)
{
	struct request *req = arg;

	req->query = NULL;
	switch (standing_of(req, found, user)) {
	case STANDING_USER:
		accept_sender(req, user);
		break;
	case STANDING_NOBODY:
		if (user != NULL)
			refuse(req, user, REPLY_AUTH_REQUIRED, NULL);
		else
			request_reject(req, REPLY_AUTH_REQUIRED);
		break;
	case STANDING_SOURCE:
		refuse_source(req, user);
		break;
	case STANDING_UNKNOWN:
		/* Without its binding a session cannot get any better. */
		if (found != USER_OK) {
			defer(req);
			break;
		}
		log_deferral(req, req->tempfail);
		request_disconnect(req, req->tempfail);
		break;
	}
}

void
sender_request(struct request *req, const char *sender)
{
	struct session *s = req->session;
	struct domains	domains;

	req->expire = defer;
	if (strlen(sender) >= SENDER_TEXT ||
	    session_begin_tx(s, sender) == NULL) {
		defer(req);
		return;
	}
	if (local_trust(req) && !s->authenticated) {
		s->tx->trusted = true;
		request_proceed(req);
		return;
	}
	gather(req, false, &domains);
	ask(req, &domains, on_sender);
}

void
recipient_request(struct request *req, const char *recipient)
{
	struct tx *tx = req->session->tx;

	if (tx != NULL) {
		tx->recipients++;
		digest_strings(tx->recipient, 1, &recipient);
	}
	if (tx != NULL && tx->sandboxed)
		request_rewrite(req, SANDBOX);
	else
		request_proceed(req);
}

void
recipient_settled(struct session *s, const char *recipient, bool taken)
{
	struct tx *tx = s->tx;
	uint8_t	   digest[DIGEST_LEN];

	if (tx == NULL)
		return;
	digest_strings(digest, 1, &recipient);
	if (memcmp(digest, tx->recipient, sizeof(digest)) != 0)
		return;
	if (!taken)
		tx->recipients--;
	memset(tx->recipient, 0, sizeof(tx->recipient));
}

/* The source may authenticate another user by now, who has no part in it. */
static void
block_gone(struct request *req, const struct user *user)
{
	const struct verdict v = { REASON_USER, NULL, NULL };

	if (user != NULL && strcmp(user->name, req->session->tx->user) != 0)
		user = NULL;
	block(req, user, &v);
}

static void ask_commit(struct request *);

/* Judges again from the start: the user may have changed while it was asked. */
static void
on_spf(void *arg, const struct spf_answer *answer)
{
	struct request *req = arg;

	req->spf_question = NULL;
	if (answer->verdict == SPF_VERDICT_UNKNOWN) {
		defer_spf(req);
		return;
	}
	request_hurry(req);
	ask_commit(req);
}

/* More questions than a message has domains are never needed. */
static void
wait_for_spf(struct request *req, const char *domain)
{
	struct filter *f = req->filter;

	if (f->spf != NULL && req->spf_asked++ < DOMAINS_MAX)
		req->spf_question = spf_ask(f->spf, req->session->tx->user,
		    domain, on_spf, req);
	if (req->spf_question != NULL)
		request_take_time(req);
	else
		defer_spf(req);
}

static void
on_reserved(void *arg, enum quota_result result, const char *reply)
{
	struct request *req = arg;
	struct tx      *tx = req->session->tx;

	req->quota_query = NULL;
	if (result != QUOTA_OK) {
		tx->hold[0] = '\0';
		refuse_quota(req, result, reply);
		return;
	}
	tx->accepted = true;
	request_proceed(req);
}

static void
reserve(struct request *req, const struct user *user)
{
	struct filter *f = req->filter;
	struct tx     *tx = req->session->tx;
	size_t	       units = 1;

	if (f->conf->quota_unit == UNIT_RECIPIENT && tx->recipients > 1)
		units = tx->recipients;
	quota_id(tx->hold);
	req->quota_query = quota_reserve(f, user->name, tx->hold, units,
	    on_reserved, req);
	if (req->quota_query == NULL)
		defer(req);
}

static void
accept_message(struct request *req, const struct user *user)
{
	struct tx     *tx = req->session->tx;
	struct domains domains;
	struct verdict v;

	if (strcmp(user->name, tx->user) != 0) {
		block_gone(req, user);
		return;
	}
	/* Its recipients were not rewritten: not this time. */
	if (user->status == STATUS_SANDBOXED && !tx->sandboxed) {
		defer(req);
		return;
	}
	v = judge(req, user, true, &domains);
	if (v.reason == REASON_SPF)
		wait_for_spf(req, v.domain);
	else if (v.reason != REASON_NONE)
		block(req, user, &v);
	else if (quota_limited(user))
		reserve(req, user);
	else {
		tx->accepted = true;
		request_proceed(req);
	}
}

static void
on_commit(void *arg, enum user_found found, const struct user *user)
{
	struct request *req = arg;

	req->query = NULL;
	switch (standing_of(req, found, user)) {
	case STANDING_USER:
		accept_message(req, user);
		break;
	case STANDING_NOBODY:
	case STANDING_SOURCE:
		block_gone(req, user);
		break;
	case STANDING_UNKNOWN:
		defer(req);
		break;
	}
}

static void
ask_commit(struct request *req)
{
	struct domains domains;

	gather(req, true, &domains);
	ask(req, &domains, on_commit);
}

void
header_complete(struct filter *f, struct session *s)
{
	struct domains domains = { .n = 0 };
	size_t	       i;

	if (f->spf == NULL || !s->tx->any_domain ||
	    header_domains(&s->tx->header, &domains) != REASON_NONE)
		return;
	for (i = 0; i < domains.n; i++)
		if (spf_known(f->spf, domains.name[i]) == NULL)
			spf_ask(f->spf, s->tx->user, domains.name[i], NULL,
			    NULL);
}

void
commit_request(struct request *req)
{
	const struct tx *tx = req->session->tx;

	req->expire = defer;
	if (tx == NULL || tx->damaged) {
		defer(req);
		return;
	}
	if (tx->trusted) {
		request_proceed(req);
		return;
	}
	if (tx->user[0] == '\0') {
		request_reject(req, REPLY_AUTH_REQUIRED);
		return;
	}
	ask_commit(req);
}

void
message_taken(struct filter *f, struct session *s, uint64_t size)
{
	struct tx *tx = s->tx;

	if (tx != NULL && tx->accepted) {
		if (tx->hold[0] != '\0')
			quota_keep(f, tx->user, tx->hold);
		userlog_add(f, s, tx->user, "message", "accepted", NULL, NULL,
		    (int64_t)size);
	}
	session_end_tx(s);
}

void
message_dropped(struct filter *f, struct session *s)
{
	struct tx *tx = s->tx;

	if (tx != NULL && tx->accepted) {
		if (tx->hold[0] != '\0')
			quota_refund(f, tx->user, tx->hold);
		userlog_add(f, s, tx->user, "message", "failed", NULL, NULL,
		    -1);
	}
	session_end_tx(s);
}
