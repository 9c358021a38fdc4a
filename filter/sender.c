/*
 * Copyright (c) 2026 The smtpusers authors
 *
 * Permission to use, copy, modify, and distribute this software for any
 * purpose with or without fee is hereby granted, provided that the above
 * copyright notice and this permission notice appear in all copies.
 *
 * THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
 * WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
 * MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
 * ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
 * WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
 * ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
 * OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
 */

/*
 * Who may send: the judgement of a session at MAIL FROM, and again at the end
 * of data for what has changed in between.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "filter.h"
#include "log.h"
#include "redisconn.h"
#include "report.h"
#include "user.h"

#define SANDBOX	"sandbox@sandbox.invalid"

enum standing {
	STANDING_USER,		/* and the user is there */
	STANDING_NOBODY,	/* nobody's session, or no longer anybody's */
	STANDING_SOURCE,	/* a user's, from where the user does not send */
	STANDING_UNKNOWN	/* Redis cannot be asked, or the record is bad */
};

/* Whether the password that the session has shown is still the user's. */
static bool
still_holds(const struct session *s, const struct user *user)
{
	const char	*hash = user->password;
	uint8_t		 digest[DIGEST_LEN];

	digest_strings(digest, 1, &hash);
	return (memcmp(digest, s->bound, sizeof(digest)) == 0);
}

static enum standing
standing_of(const struct request *req, enum user_found found,
    const struct user *user)
{
	const struct session	*s = req->session;

	if (found == USER_NONE)
		return (STANDING_NOBODY);
	if (found != USER_OK)
		return (STANDING_UNKNOWN);
	if (s->authenticated && s->binding == BINDING_NOBODY)
		return (STANDING_NOBODY);
	if (s->authenticated && s->binding != BINDING_HELD)
		return (STANDING_UNKNOWN);
	if (!user_active(user))
		return (STANDING_NOBODY);
	if (s->authenticated && !still_holds(s, user))
		return (STANDING_NOBODY);
	if (s->local && req->filter->conf->local == LOCAL_TRUST)
		return (STANDING_USER);
	if (!user_allows_source(user, &s->source))
		return (STANDING_SOURCE);
	return (STANDING_USER);
}

/*
 * Asks for the session's user: the authenticated one, else the one whom the
 * source authenticates.  A session that has authenticated as somebody is never
 * taken for the user of its source.
 */
static void
ask(struct request *req, user_cb cb)
{
	struct filter	*f = req->filter;
	struct session	*s = req->session;

	if (s->authenticated ? s->name[0] == '\0' : s->source.len == 0) {
		cb(req, USER_NONE, NULL);
		return;
	}
	if (s->authenticated)
		req->query = user_ask(f->redis, f->conf, s->name, cb, req);
	else
		req->query = user_ask_address(f->redis, f->conf, &s->source,
		    cb, req);
	if (req->query == NULL)
		request_tempfail(req);
}

static bool
trusted(const struct request *req)
{
	return (req->session->local && !req->session->authenticated &&
	    req->filter->conf->local == LOCAL_TRUST);
}

static void
accept_sender(struct request *req, const struct user *user)
{
	struct session	*s = req->session;

	strlcpy(s->tx_user, user->name, sizeof(s->tx_user));
	s->tx_sandboxed = user->status == STATUS_SANDBOXED;
	request_proceed(req);
}

static void
on_sender(void *arg, enum user_found found, const struct user *user)
{
	struct request	*req = arg;

	req->query = NULL;
	switch (standing_of(req, found, user)) {
	case STANDING_USER:
		accept_sender(req, user);
		break;
	case STANDING_NOBODY:
		request_reject(req, REPLY_AUTH_REQUIRED);
		break;
	case STANDING_SOURCE:
		request_disconnect(req, REPLY_SOURCE);
		break;
	case STANDING_UNKNOWN:
		/* Without its binding a session cannot get any better. */
		if (found == USER_OK)
			request_disconnect(req, req->tempfail);
		else
			request_tempfail(req);
		break;
	}
}

void
sender_request(struct request *req)
{
	struct session	*s = req->session;

	session_reset_tx(s);
	if (trusted(req)) {
		s->tx_trusted = true;
		request_proceed(req);
		return;
	}
	ask(req, on_sender);
}

void
recipient_request(struct request *req)
{
	if (req->session->tx_sandboxed)
		request_rewrite(req, SANDBOX);
	else
		request_proceed(req);
}

static void
block(struct request *req)
{
	char	 id[REPORT_ID + 1], reply[REPORT_REPLY];

	report_id(id);
	request_reject(req, report_reply(req->filter->conf, id,
	    req->session->tx_user, reply));
}

static void
on_commit(void *arg, enum user_found found, const struct user *user)
{
	struct request	*req = arg;
	struct session	*s = req->session;

	req->query = NULL;
	switch (standing_of(req, found, user)) {
	case STANDING_USER:
		if (strcmp(user->name, s->tx_user) != 0)
			block(req);
		else if (user->status == STATUS_SANDBOXED && !s->tx_sandboxed)
			request_tempfail(req);
		else
			request_proceed(req);
		break;
	case STANDING_NOBODY:
	case STANDING_SOURCE:
		block(req);
		break;
	case STANDING_UNKNOWN:
		request_tempfail(req);
		break;
	}
}

void
commit_request(struct request *req)
{
	struct session	*s = req->session;

	if (s->tx_damaged)
		request_tempfail(req);
	else if (s->tx_trusted)
		request_proceed(req);
	else if (s->tx_user[0] == '\0')
		request_reject(req, REPLY_AUTH_REQUIRED);
	else
		ask(req, on_commit);
}
