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
 * Speaks smtpd-filters(7).  This is the one file of the filter that knows the
 * line protocol: lines become sessions and requests, whose judges know Redis,
 * and their answers become lines again.
 *
 * smtpd ends over an answer that it does not wait for, so every well-formed
 * request is answered exactly once, and nothing else is.
 */

#include <sys/types.h>

#include <err.h>
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "filter.h"
#include "filterline.h"
#include "lineio.h"
#include "log.h"
#include "passwd.h"
#include "redisconn.h"
#include "sasl.h"
#include "session.h"
#include "user.h"

#define DEFAULT_CONF	"/etc/smtpusers.conf"
#define THREADS		2

static struct filter	 filter;
static struct lineio	*io;
static bool		 registered;

static const char	 registration[] =
    "register|report|smtp-in|link-connect\n"
    "register|report|smtp-in|link-auth\n"
    "register|report|smtp-in|link-disconnect\n"
    "register|filter|smtp-in|auth\n"
    "register|filter|smtp-in|mail-from\n"
    "register|filter|smtp-in|rcpt-to\n"
    "register|filter|smtp-in|data-line\n"
    "register|filter|smtp-in|commit\n"
    "register|ready\n";

static void
request_free(struct request *req)
{
	LIST_REMOVE(req, entry);
	if (req->query != NULL)
		user_cancel(req->query);
	if (req->job != NULL)
		passwd_cancel(req->job);
	if (req->alive != NULL)
		redisconn_cancel(req->alive);
	if (req->sasl != NULL) {
		sasl_clear(req->sasl);
		free(req->sasl);
	}
	if (req->timer != NULL)
		event_free(req->timer);
	free(req);
}

static void
write_result(uint64_t session, uint64_t token, const char *result,
    const char *param)
{
	lineio_printf(io, "filter-result|%016" PRIx64 "|%016" PRIx64
	    "|%s%s%s\n", session, token, result, param[0] != '\0' ? "|" : "",
	    param);
}

static void
answer(struct request *req, const char *result, const char *param)
{
	write_result(req->session->id, req->token, result, param);
	request_free(req);
}

static void
log_refusal(const struct request *req, const char *reply)
{
	const struct session	*s = req->session;
	char			 source[NETADDR_TEXT];

	log_session(s->id, "%s refused: user=%s source=%s reply=\"%s\"",
	    req->what, s->name[0] != '\0' ? s->name : "-",
	    session_source(s, source), reply);
}

void
request_proceed(struct request *req)
{
	answer(req, "proceed", "");
}

void
request_rewrite(struct request *req, const char *recipient)
{
	char	 param[256];

	snprintf(param, sizeof(param), "<%s>", recipient);
	answer(req, "rewrite", param);
}

void
request_reject(struct request *req, const char *reply)
{
	log_refusal(req, reply);
	answer(req, "reject", reply);
}

void
request_disconnect(struct request *req, const char *reply)
{
	log_refusal(req, reply);
	answer(req, "disconnect", reply);
}

void
request_tempfail(struct request *req)
{
	request_reject(req, req->tempfail);
}

void
request_take_time(struct request *req)
{
	event_del(req->timer);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct request	*req = arg;

	(void)fd;
	(void)what;
	request_tempfail(req);
}

static struct request *
request_new(struct session *s, const struct filterline *fl)
{
	struct timeval	 tv = conf_deadline(filter.conf);
	struct request	*req;

	if ((req = calloc(1, sizeof(*req))) == NULL)
		return (NULL);
	req->filter = &filter;
	req->session = s;
	req->token = fl->token;
	req->what = "request";
	req->tempfail = fl->event == EV_AUTH ? REPLY_AUTH_TEMPFAIL :
	    REPLY_TEMPFAIL;
	req->timer = evtimer_new(filter.base, on_timer, req);
	if (req->timer == NULL || event_add(req->timer, &tv) == -1) {
		if (req->timer != NULL)
			event_free(req->timer);
		free(req);
		return (NULL);
	}
	LIST_INSERT_HEAD(&s->requests, req, entry);
	return (req);
}

static void
on_request(const struct filterline *fl)
{
	struct session	*s = session_find(&filter.sessions, fl->session);
	struct request	*req = NULL;

	if (s != NULL)
		req = request_new(s, fl);
	if (req == NULL) {
		log_once("a session that cannot be kept is refused");
		write_result(fl->session, fl->token, "reject",
		    REPLY_TEMPFAIL);
		return;
	}
	switch (fl->event) {
	case EV_AUTH:
		req->what = "auth";
		login_request(req, fl->params);
		break;
	case EV_MAIL_FROM:
		req->what = "mail-from";
		sender_request(req);
		break;
	case EV_RCPT_TO:
		req->what = "rcpt-to";
		recipient_request(req);
		break;
	case EV_COMMIT:
		req->what = "commit";
		commit_request(req);
		break;
	default:
		/* Not registered, so nobody should ask. */
		log_once("request %s refused", fl->name);
		request_tempfail(req);
		break;
	}
}

static void
close_session(struct session *s)
{
	struct request	*req;

	while ((req = LIST_FIRST(&s->requests)) != NULL)
		request_free(req);
	if (s->binding_query != NULL)
		user_cancel(s->binding_query);
	session_close(&filter.sessions, s);
}

static void
on_connect(const struct filterline *fl, struct session *s)
{
	const char	*source = filterline_source(fl->params);

	if (s != NULL) {
		log_once("a session that is open is opened again");
		close_session(s);
	}
	if (session_open(&filter.sessions, fl->session, source) == NULL)
		log_once("too many sessions");
}

static void
on_auth_report(const struct filterline *fl, struct session *s)
{
	if (strncmp(fl->params, "pass|", 5) == 0)
		login_passed(&filter, s, fl->params + 5);
}

static void
on_report(const struct filterline *fl)
{
	struct session	*s = session_find(&filter.sessions, fl->session);

	if (fl->event == EV_LINK_CONNECT) {
		on_connect(fl, s);
		return;
	}
	if (s == NULL) {
		log_once("report %s of an unknown session", fl->name);
		return;
	}
	switch (fl->event) {
	case EV_LINK_AUTH:
		on_auth_report(fl, s);
		break;
	case EV_LINK_DISCONNECT:
		close_session(s);
		break;
	default:
		log_once("unknown report %s ignored", fl->name);
		break;
	}
}

static void
on_ready(void *arg)
{
	(void)arg;
	registered = true;
	lineio_write(io, registration, sizeof(registration) - 1);
}

static void
on_config(const struct filterline *fl)
{
	if (registered)
		log_once("configuration out of order ignored");
	else if (strcmp(fl->name, "ready") == 0)
		redisconn_when_ready(filter.redis, on_ready, NULL);
}

/*
 * Most lines are the message's text, which goes back as it came: nothing is
 * copied but from the one buffer to the other.
 */
static bool
echo_data(char *line, size_t len)
{
	static const char	 answer_head[] = "filter-dataline|";
	const char		*from;
	uint64_t		 id;

	if ((from = filterline_data(line, len, &id)) == NULL)
		return (false);
	lineio_write(io, answer_head, sizeof(answer_head) - 1);
	line[len] = '\n';
	lineio_write(io, from, (size_t)(line + len + 1 - from));
	return (true);
}

static void
on_line(void *arg, char *line, size_t len, bool first)
{
	struct filterline	 fl;
	const char		*bad;

	(void)arg;
	(void)first;
	if (registered && echo_data(line, len))
		return;
	if ((bad = filterline_parse(line, len, &fl)) != NULL) {
		log_once("malformed line ignored: %s", bad);
		return;
	}
	if (fl.kind == LINE_CONFIG)
		on_config(&fl);
	else if (!registered)
		log_once("line before registration ignored");
	else if (fl.kind == LINE_REPORT)
		on_report(&fl);
	else
		on_request(&fl);
}

/* A line of a message is lost: the message must not go out without it. */
static void
on_overlong(void *arg, char *head, size_t len)
{
	struct session	*s;
	uint64_t	 id;

	(void)arg;
	log_once("a line over %d bytes is ignored", LINEIO_MAX);
	if (filterline_data(head, len, &id) == NULL)
		return;
	if ((s = session_find(&filter.sessions, id)) != NULL)
		s->tx_damaged = true;
}

static void
on_eof(void *arg)
{
	(void)arg;
	event_base_loopbreak(filter.base);
}

static const struct lineio_handler	handler = { on_line, on_overlong,
	on_eof };

static void
close_all(void)
{
	struct session	*s, *next;

	HASH_ITER(hh, filter.sessions.byid, s, next)
		close_session(s);
}

static void
run(void)
{
	if ((filter.base = event_base_new()) == NULL ||
	    (filter.pool = passwd_pool_new(filter.base, THREADS)) == NULL ||
	    (filter.redis = redisconn_new(filter.base, filter.conf)) ==
	    NULL ||
	    (io = lineio_new(filter.base, STDIN_FILENO, STDOUT_FILENO,
	    &handler, NULL)) == NULL)
		errx(1, "cannot start");
	event_base_dispatch(filter.base);

	close_all();
	lineio_free(io);
	redisconn_free(filter.redis);
	passwd_pool_free(filter.pool);
	event_base_free(filter.base);
}

static void __attribute__((__noreturn__))
usage(void)
{
	fprintf(stderr, "usage: filter-smtpusers [-n] [-f file]\n");
	exit(1);
}

int
main(int argc, char *argv[])
{
	const char	*file = DEFAULT_CONF;
	bool		 check = false;
	int		 ch;

	while ((ch = getopt(argc, argv, "f:n")) != -1) {
		switch (ch) {
		case 'f':
			file = optarg;
			break;
		case 'n':
			check = true;
			break;
		default:
			usage();
		}
	}
	if (argc != optind)
		usage();
	if ((filter.conf = conf_load(file, stderr)) == NULL)
		return (1);
	if (check)
		conf_print(filter.conf, stdout);
	else {
		log_init("filter-smtpusers");
		signal(SIGPIPE, SIG_IGN);
		run();
	}
	conf_free(filter.conf);
	return (0);
}
