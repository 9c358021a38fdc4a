/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * report.cgi: the page behind the URL that a blocked sender is told.  The web
 * server speaks HTTP and bounds how often it is asked; here is one request, in
 * the environment, and one question to Redis.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <errno.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgi.h"
#include "conf.h"
#include "key.h"
#include "log.h"
#include "page.h"
#include "reach.h"
#include "sandbox.h"
#include "servers.h"

#define DEFAULT_CONF "/etc/smtpusers.conf"

struct report_cgi {
	struct conf	  *conf;
	struct event_base *base;
	struct servers	  *servers;
	struct cgi	   cgi;
	struct page_form   form;
};

static void
end_in_error(struct report_cgi *rc, enum page_error error)
{
	page_error(stdout, &rc->form, error);
	event_base_loopbreak(rc->base);
}

static const char *
text_of(const redisReply *reply)
{
	return (reply->type == REDIS_REPLY_STRING ? reply->str : "");
}

/* In the same time, wherever they differ. */
static bool
is_users(const struct report_cgi *rc, const char *name)
{
	char auth[USER_NAME_MAX + 1] = "", user[USER_NAME_MAX + 1] = "";
	volatile unsigned char differs = 0;
	size_t		       i;

	strlcpy(auth, rc->cgi.auth, sizeof(auth));
	strlcpy(user, name, sizeof(user));
	for (i = 0; i < sizeof(user); i++)
		differs |= (unsigned char)(auth[i] ^ user[i]);
	return (differs == 0 && user[0] != '\0');
}

static void
on_stored(void *arg, const redisReply *reply)
{
	struct report_cgi *rc = arg;
	struct page_report report = { .id = rc->cgi.id };
	size_t		   i;

	if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
		log_err("report %s: %.200s", rc->cgi.id, reply->str);
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY ||
	    reply->elements != PAGE_FIELDS + 1) {
		end_in_error(rc, PAGE_UNAVAILABLE);
		return;
	}
	for (i = 0; i < PAGE_FIELDS; i++)
		report.field[i] = text_of(reply->element[i]);
	if (report.field[PAGE_MSGID][0] == '\0')
		report.field[PAGE_MSGID] = text_of(reply->element[i]);
	if (!is_users(rc, report.field[PAGE_USER])) {
		end_in_error(rc, PAGE_NOT_FOUND);
		return;
	}
	page_report(stdout, &rc->form, &report);
	event_base_loopbreak(rc->base);
}

static void
ask(void *arg)
{
	struct report_cgi *rc = arg;
	char		   key[KEY_TEXT];
	const char	  *argv[PAGE_FIELDS + 3] = { "HMGET", key };

	key_report(key, rc->conf->prefix, rc->cgi.id);
	memcpy(argv + 2, page_fields, sizeof(page_fields));
	/* What msgid was called before. */
	argv[PAGE_FIELDS + 2] = "message";
	if (servers_send(rc->servers, key, on_stored, rc, PAGE_FIELDS + 3,
		argv) == NULL)
		end_in_error(rc, PAGE_UNAVAILABLE);
}

/* What cannot be the address of a report is not asked about. */
static void
answer_client(struct report_cgi *rc)
{
	if (rc->cgi.method == CGI_OTHER)
		page_error(stdout, &rc->form, PAGE_NOT_ALLOWED);
	else if (rc->cgi.id[0] == '\0' || rc->cgi.auth[0] == '\0')
		page_error(stdout, &rc->form, PAGE_NOT_FOUND);
	else {
		servers_when_ready(rc->servers, ask, rc);
		event_base_dispatch(rc->base);
	}
}

static bool
set_up_cgi(struct report_cgi *rc)
{
	const char *file = getenv("SMTPUSERS_CONF");

	if (file == NULL)
		file = DEFAULT_CONF;
	if ((rc->conf = conf_load(file, stderr)) == NULL)
		return (false);
	rc->conf->reader = true;
	if (!reach_redis(rc->conf))
		return (false);
	if ((rc->base = event_base_new()) == NULL ||
	    (rc->servers = servers_new(rc->base, rc->conf)) == NULL ||
	    !reach_confine()) {
		log_err("cannot start: %s", strerror(errno));
		return (false);
	}
	return (true);
}

static void
stop(struct report_cgi *rc)
{
	servers_free(rc->servers);
	if (rc->base != NULL)
		event_base_free(rc->base);
	conf_free(rc->conf);
}

int
main(void)
{
	struct report_cgi rc = { .conf = NULL };
	bool		  started;

	log_init("report.cgi");
	started = sandbox_begin() && set_up_cgi(&rc);
	cgi_read(&rc.cgi);
	rc.form.conf = rc.conf;
	rc.form.json = rc.cgi.json;
	rc.form.language = rc.cgi.language;
	rc.form.head = rc.cgi.method == CGI_HEAD;
	if (started)
		answer_client(&rc);
	else
		page_error(stdout, &rc.form, PAGE_BROKEN);
	stop(&rc);
	return (0);
}
