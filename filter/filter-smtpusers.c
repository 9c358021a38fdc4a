/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
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

#include "body.h"
#include "conf.h"
#include "explain.h"
#include "filter.h"
#include "filterline.h"
#include "functions.h"
#include "journal.h"
#include "lineio.h"
#include "log.h"
#include "passwd.h"
#include "redisconn.h"
#include "reportid.h"
#include "sasl.h"
#include "session.h"
#include "spf.h"
#include "spfworker.h"
#include "user.h"

#define DEFAULT_CONF "/etc/smtpusers.conf"
#define THREADS 2

static struct filter	     filter;
static struct lineio	    *io;
static struct session	    *last; /* that a line of a message was of */
static struct filterline_run run_of_last;
static bool		     registered;

static const char registration[] = "register|report|smtp-in|link-connect\n"
				   "register|report|smtp-in|link-auth\n"
				   "register|report|smtp-in|link-disconnect\n"
				   "register|report|smtp-in|tx-begin\n"
				   "register|report|smtp-in|tx-rcpt\n"
				   "register|report|smtp-in|tx-commit\n"
				   "register|report|smtp-in|tx-rollback\n"
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
	if (req->quota_query != NULL)
		quota_cancel(req->quota_query);
	if (req->spf_question != NULL)
		spf_cancel(req->spf_question);
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
	lineio_printf(io,
	    "filter-result|%016" PRIx64 "|%016" PRIx64 "|%s%s%s\n", session,
	    token, result, param[0] != '\0' ? "|" : "", param);
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
	const struct session *s = req->session;
	const char	     *name = sender_name(s);
	char		      source[NETADDR_TEXT];

	if (strcmp(req->what, "auth") == 0)
		name = s->name;
	log_session(s->id, "%s refused: user=%s source=%s reply=\"%s\"",
	    req->what, name[0] != '\0' ? name : "-", session_source(s, source),
	    reply);
}

void
request_proceed(struct request *req)
{
	answer(req, "proceed", "");
}

void
request_rewrite(struct request *req, const char *recipient)
{
	char param[256];

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

void
request_hurry(struct request *req)
{
	struct timeval tv = conf_deadline(filter.conf);

	event_add(req->timer, &tv);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct request *req = arg;

	(void)fd;
	(void)what;
	req->expire(req);
}

static struct request *
request_new(struct session *s, const struct filterline *fl)
{
	struct timeval	tv = conf_deadline(filter.conf);
	struct request *req;

	if ((req = calloc(1, sizeof(*req))) == NULL)
		return (NULL);
	req->filter = &filter;
	req->session = s;
	req->token = fl->token;
	req->what = "request";
	req->tempfail = fl->event == EV_AUTH ? REPLY_AUTH_TEMPFAIL
					     : REPLY_TEMPFAIL;
	req->expire = request_tempfail;
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
	struct session *s = session_find(&filter.sessions, fl->session);
	struct request *req = NULL;

	if (s != NULL)
		req = request_new(s, fl);
	if (req == NULL) {
		log_once("a session that cannot be kept is refused");
		write_result(fl->session, fl->token, "reject", REPLY_TEMPFAIL);
		return;
	}
	/* smtpd waits: what is under way must find its message as it was. */
	if (LIST_NEXT(req, entry) != NULL) {
		log_once("a request before the answer to another is refused");
		request_tempfail(req);
		return;
	}
	switch (fl->event) {
	case EV_AUTH:
		req->what = "auth";
		login_request(req, fl->params);
		break;
	case EV_MAIL_FROM:
		req->what = "mail-from";
		sender_request(req, fl->params);
		break;
	case EV_RCPT_TO:
		req->what = "rcpt-to";
		recipient_request(req, fl->params);
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
	struct request *req, *next;

	LIST_FOREACH_SAFE(req, &s->requests, entry, next)
		request_free(req);
	if (s->binding_query != NULL)
		user_cancel(s->binding_query);
	message_dropped(&filter, s);
	if (last == s)
		last = NULL;
	session_close(&filter.sessions, s);
}

static void
on_connect(const struct filterline *fl, struct session *s)
{
	const char *source = filterline_source(fl->params);

	if (s != NULL) {
		log_once("a session that is open is opened again");
		close_session(s);
	}
	if (session_open(&filter.sessions, &filter, fl->session, source) ==
	    NULL)
		log_once("too many sessions");
}

static void
on_auth_report(const struct filterline *fl, struct session *s)
{
	if (strncmp(fl->params, "pass|", 5) == 0)
		login_passed(&filter, s, fl->params + 5);
	else if (strncmp(fl->params, "fail|", 5) == 0)
		login_failed(&filter, s, fl->params + 5);
}

/* msgid */
static void
on_tx_begin(const struct filterline *fl, struct session *s)
{
	if (s->tx != NULL)
		s->tx->msgid = (uint32_t)strtoul(fl->params, NULL, 16);
}

/* msgid|result|recipient */
static void
on_tx_rcpt(const struct filterline *fl, struct session *s)
{
	const char *result = strchr(fl->params, '|'), *recipient;

	if (result == NULL || (recipient = strchr(result + 1, '|')) == NULL)
		return;
	recipient_settled(s, recipient + 1, strncmp(result, "|ok|", 4) == 0);
}

/* msgid|size */
static void
on_tx_commit(const struct filterline *fl, struct session *s)
{
	const char *size = strchr(fl->params, '|');

	if (!LIST_EMPTY(&s->requests)) {
		log_once("a message is committed before it was judged");
		return;
	}
	message_taken(&filter, s,
	    size != NULL ? strtoull(size + 1, NULL, 10) : 0);
}

/* msgid */
static void
on_tx_rollback(const struct filterline *fl, struct session *s)
{
	/* With a request under way the session itself is about to end. */
	if (s->tx != NULL && LIST_EMPTY(&s->requests) &&
	    s->tx->msgid == (uint32_t)strtoul(fl->params, NULL, 16))
		message_dropped(&filter, s);
}

static void
on_report(const struct filterline *fl)
{
	struct session *s = session_find(&filter.sessions, fl->session);

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
	case EV_TX_BEGIN:
		on_tx_begin(fl, s);
		break;
	case EV_TX_RCPT:
		on_tx_rcpt(fl, s);
		break;
	case EV_TX_COMMIT:
		on_tx_commit(fl, s);
		break;
	case EV_TX_ROLLBACK:
		on_tx_rollback(fl, s);
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

/* Lines of a message come in runs, so the session is mostly the last one. */
static struct session *
find_last(uint64_t id)
{
	if (last == NULL || last->id != id)
		last = session_find(&filter.sessions, id);
	return (last);
}

static void
read_line(struct session *s, const char *text, size_t len)
{
	struct tx *tx = s != NULL ? s->tx : NULL;

	if (tx == NULL)
		return;
	if (body_hides_end(text, len))
		tx->hidden_end = true;
	if (tx->header.done)
		return;
	header_line(&tx->header, text, len);
	if (tx->header.done)
		header_complete(&filter, s);
}

/*
 * Most lines are the message's text, which goes back as it came: nothing is
 * copied but from the one buffer to the other.  It is read on the way.
 */
static bool
echo_data(char *line, size_t len)
{
	static const char answer_head[] = "filter-dataline|";
	const size_t	  headlen = sizeof(answer_head) - 1;
	const char	 *from;
	char		 *answer;

	if ((from = filterline_data(line, len, &run_of_last)) == NULL)
		return (false);
	read_line(find_last(run_of_last.session), from + FILTERLINE_DATA_TEXT,
	    (size_t)(line + len - from) - FILTERLINE_DATA_TEXT);
	answer = line + (from - line) - headlen;
	memcpy(answer, answer_head, headlen);
	line[len] = '\n';
	lineio_write(io, answer, (size_t)(line + len + 1 - answer));
	return (true);
}

static void
on_line(void *arg, char *line, size_t len, bool first)
{
	struct filterline fl;
	const char	 *bad;

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
	struct session *s;

	(void)arg;
	log_once("a line over %d bytes is ignored", LINEIO_MAX);
	if (filterline_data(head, len, &run_of_last) == NULL)
		return;
	if ((s = find_last(run_of_last.session)) != NULL && s->tx != NULL)
		s->tx->damaged = true;
}

static void
on_eof(void *arg)
{
	(void)arg;
	event_base_loopbreak(filter.base);
}

static const struct lineio_handler handler = { on_line, on_overlong, on_eof };

static void
close_all(void)
{
	struct session *s, *next;

	HASH_ITER(hh, filter.sessions.byid, s, next)
	close_session(s);
}

static void
run(void)
{
	if ((filter.base = event_base_new()) == NULL)
		errx(1, "cannot start");
	if (filter.conf->spf != SPF_OFF &&
	    (filter.spf = spf_new(filter.base, filter.conf)) == NULL)
		errx(1, "cannot start the spf workers");
	if ((filter.pool = passwd_pool_new(filter.base, THREADS)) == NULL ||
	    (filter.redis = redisconn_new(filter.base, filter.conf)) == NULL ||
	    (filter.journal = journal_new(filter.base, filter.redis)) == NULL ||
	    (filter.reportids = reportids_new()) == NULL ||
	    (filter.functions = functions_new(filter.redis)) == NULL ||
	    (io = lineio_new(filter.base, STDIN_FILENO, STDOUT_FILENO, &handler,
		 NULL)) == NULL)
		errx(1, "cannot start");
	event_base_dispatch(filter.base);

	close_all();
	login_stop();
	spf_free(filter.spf);
	lineio_free(io);
	journal_free(filter.journal);
	reportids_free(filter.reportids);
	functions_free(filter.functions);
	redisconn_free(filter.redis);
	passwd_pool_free(filter.pool);
	event_base_free(filter.base);
}

static void __attribute__((__noreturn__))
usage(void)
{
	fprintf(stderr,
	    "usage: filter-smtpusers [-n] [-f file]\n"
	    "       filter-smtpusers -e name [-f file] [-H header] "
	    "[-m sender] [-s source]\n");
	exit(1);
}

int
main(int argc, char *argv[])
{
	const char     *file = DEFAULT_CONF;
	struct question question = { NULL, "", NULL, NULL };
	bool		check = false;
	int		ch, status = 0;

	while ((ch = getopt(argc, argv, "e:f:H:m:ns:W")) != -1) {
		switch (ch) {
		case 'e':
			question.name = optarg;
			break;
		case 'f':
			file = optarg;
			break;
		case 'H':
			question.header = optarg;
			break;
		case 'm':
			question.sender = optarg;
			break;
		case 'n':
			check = true;
			break;
		case 's':
			question.source = optarg;
			break;
		case 'W':
			spfworker();
		default:
			usage();
		}
	}
	if (argc != optind)
		usage();
	if ((filter.conf = conf_load(file, stderr)) == NULL)
		return (1);
	log_init("filter-smtpusers");
	if (check)
		conf_print(filter.conf, stdout);
	else if (question.name != NULL)
		status = explain(filter.conf, &question);
	else {
		signal(SIGPIPE, SIG_IGN);
		run();
	}
	conf_free(filter.conf);
	return (status);
}
