/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * Speaks smtpd-filters(7): its reports become sessions and messages, its
 * requests become questions to those, in whose answers they end (request.h).
 */

#include <sys/types.h>

#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "alarms.h"
#include "charges.h"
#include "check.h"
#include "conf.h"
#include "decide.h"
#include "events.h"
#include "explain.h"
#include "filter.h"
#include "filterline.h"
#include "functions.h"
#include "lineio.h"
#include "log.h"
#include "login.h"
#include "message.h"
#include "nexthop.h"
#include "owners.h"
#include "passwd.h"
#include "recent.h"
#include "reload.h"
#include "reportid.h"
#include "request.h"
#include "sandbox.h"
#include "spf.h"
#include "spfstarter.h"
#include "spfworker.h"
#include "spfworkers.h"
#include "state.h"
#include "totals.h"
#include "users.h"
#include "writequeue.h"

#define DEFAULT_CONF "/etc/smtpusers.conf"
#define THREADS 2

static const char registration[] = "register|report|smtp-in|link-connect\n"
				   "register|report|smtp-in|link-auth\n"
				   "register|report|smtp-in|link-disconnect\n"
				   "register|report|smtp-in|tx-begin\n"
				   "register|report|smtp-in|tx-rcpt\n"
				   "register|report|smtp-in|tx-commit\n"
				   "register|report|smtp-in|tx-rollback\n"
				   "%s%sregister|filter|smtp-in|auth\n"
				   "register|filter|smtp-in|mail-from\n"
				   "register|filter|smtp-in|rcpt-to\n"
				   "register|filter|smtp-in|data-line\n"
				   "register|filter|smtp-in|commit\n"
				   "register|ready\n";

static const char
    registration_out[] = "register|report|smtp-out|link-connect\n"
			 "register|report|smtp-out|link-disconnect\n"
			 "register|report|smtp-out|tx-begin\n"
			 "register|report|smtp-out|protocol-client\n"
			 "register|report|smtp-out|protocol-server\n";

static void
on_request(struct filter *f, const struct filterline *fl)
{
	struct session *s = session_find(&f->sessions, fl->session);
	struct request *req;

	if ((req = request_new(f, s, fl)) == NULL)
		return;
	switch (fl->event) {
	case EV_CONNECT:
		login_connect(req);
		break;
	case EV_AUTH:
		login_request(req, fl->params);
		break;
	case EV_MAIL_FROM:
		message_from(req, fl->params);
		break;
	case EV_RCPT_TO:
		message_to(req, fl->params);
		break;
	case EV_COMMIT:
		message_end(req);
		break;
	default:
		/* Not registered, so nobody should ask. */
		log_once("unexpected from smtpd: request %s, which is refused",
		    fl->name);
		request_tempfail(req);
		break;
	}
}

static void
close_session(struct filter *f, struct session *s)
{
	request_forget_all(s);
	login_leave(s);
	message_dropped(f, s);
	if (f->last == s)
		f->last = NULL;
	session_close(&f->sessions, s);
}

static void
on_link_connect(struct filter *f, const struct filterline *fl,
    struct session *s)
{
	const char *source = filterline_source(fl->params);

	if (s != NULL) {
		log_once("unexpected from smtpd: a session is opened twice");
		close_session(f, s);
	}
	if (session_open(&f->sessions, fl->session, source) == NULL)
		log_once(
		    "too many sessions: further ones are refused with 451");
}

static void
on_link_auth(struct filter *f, const struct filterline *fl, struct session *s)
{
	if (strncmp(fl->params, "pass|", 5) == 0)
		login_passed(f, s, fl->params + 5);
	else if (strncmp(fl->params, "fail|", 5) == 0)
		login_failed(f, s, fl->params + 5);
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
	message_recipient_settled(s, recipient + 1,
	    strncmp(result, "|ok|", 4) == 0);
}

/* msgid|size */
static void
on_tx_commit(struct filter *f, const struct filterline *fl, struct session *s)
{
	const char *size = strchr(fl->params, '|');

	if (!LIST_EMPTY(&s->requests)) {
		log_once("unexpected from smtpd: a message was accepted before "
			 "the filter had answered");
		return;
	}
	message_taken(f, s, size != NULL ? strtoull(size + 1, NULL, 10) : 0);
}

/* msgid */
static void
on_tx_rollback(struct filter *f, const struct filterline *fl, struct session *s)
{
	/* With a request under way the session itself is about to end. */
	if (s->tx != NULL && LIST_EMPTY(&s->requests) &&
	    s->tx->msgid == (uint32_t)strtoul(fl->params, NULL, 16))
		message_dropped(f, s);
}

static void
on_report(struct filter *f, const struct filterline *fl)
{
	struct session *s = session_find(&f->sessions, fl->session);

	if (fl->event == EV_LINK_CONNECT) {
		on_link_connect(f, fl, s);
		return;
	}
	if (s == NULL) {
		log_once("unexpected from smtpd: report %s of an unknown "
			 "session",
		    fl->name);
		return;
	}
	switch (fl->event) {
	case EV_LINK_AUTH:
		on_link_auth(f, fl, s);
		break;
	case EV_LINK_DISCONNECT:
		close_session(f, s);
		break;
	case EV_TX_BEGIN:
		on_tx_begin(fl, s);
		break;
	case EV_TX_RCPT:
		on_tx_rcpt(fl, s);
		break;
	case EV_TX_COMMIT:
		on_tx_commit(f, fl, s);
		break;
	case EV_TX_ROLLBACK:
		on_tx_rollback(f, fl, s);
		break;
	default:
		log_once("unexpected from smtpd: report %s", fl->name);
		break;
	}
}

/* What smtpd tells of the messages that it relays. */
static void
on_out_report(struct filter *f, const struct filterline *fl)
{
	struct nexthops *hops = &f->nexthops;

	switch (fl->event) {
	case EV_LINK_CONNECT:
		nexthop_open(hops, fl->session);
		break;
	case EV_LINK_DISCONNECT:
		nexthop_close(hops, fl->session);
		break;
	case EV_TX_BEGIN:
		nexthop_begin(hops, fl->session,
		    (uint32_t)strtoul(fl->params, NULL, 16));
		break;
	case EV_PROTOCOL_CLIENT:
		nexthop_asked(hops, fl->session, fl->params);
		break;
	case EV_PROTOCOL_SERVER:
		nexthop_answered(hops, fl->session, fl->params);
		break;
	default:
		log_once("unexpected from smtpd: report %s", fl->name);
		break;
	}
}

/* What has become of recipients, at a next hop. */
static void
on_delivered(void *arg, uint32_t msgid, size_t accepted, size_t refused)
{
	struct filter	  *f = arg;
	struct alarm_limit limit;
	const char	  *user;

	if (f->owners == NULL)
		return;
	user = owners_settle(f->owners, msgid, accepted + refused, &limit);
	if (user != NULL && refused > 0)
		alarms_failed(&f->alarms, user, &limit, refused);
}

/* Asks for what only the alarm of failures needs. */
static bool
register_out(struct filter *f)
{
	if (f->conf->alarms[ALARM_FAILURES].action == ALARM_OFF)
		return (false);
	if (!f->relays) {
		log_warnx("alarm failures: no action of smtpd.conf has this "
			  "filter, so nothing is counted");
		return (false);
	}
	if ((f->owners = owners_new()) == NULL)
		log_fatal("memory");
	return (true);
}

static void
on_filter_ready(void *arg)
{
	struct filter *f = arg;

	f->registered = true;
	lineio_printf(f->io, registration,
	    register_out(f) ? registration_out : "",
	    f->conf->auth_failures > 0 ? "register|filter|smtp-in|connect\n"
				       : "");
	log_started();
}

static void
on_config(struct filter *f, const struct filterline *fl)
{
	if (f->registered)
		log_once("unexpected from smtpd: its configuration, twice");
	else if (strcmp(fl->name, "subsystem") == 0)
		f->relays = f->relays || strcmp(fl->params, "smtp-out") == 0;
	else if (strcmp(fl->name, "ready") == 0)
		servers_when_ready(f->servers, on_filter_ready, f);
}

/* Lines of a message come in runs, so the session is mostly the last one. */
static struct session *
find_last(struct filter *f, uint64_t id)
{
	if (f->last == NULL || f->last->id != id)
		f->last = session_find(&f->sessions, id);
	return (f->last);
}

/*
 * Most lines are the message's text, which goes back as it came: nothing is
 * copied but from the one buffer to the other.  It is read on the way.
 */
static bool
echo_data(struct filter *f, char *line, size_t len)
{
	static const char answer_head[] = "filter-dataline|";
	const size_t	  headlen = sizeof(answer_head) - 1;
	const char	 *from;
	struct session	 *s;
	char		 *answer;

	if ((from = filterline_data(line, len, &f->run)) == NULL)
		return (false);
	if ((s = find_last(f, f->run.session)) != NULL)
		message_line(f, s, from + FILTERLINE_DATA_TEXT,
		    (size_t)(line + len - from) - FILTERLINE_DATA_TEXT);
	answer = line + (from - line) - headlen;
	memcpy(answer, answer_head, headlen);
	line[len] = '\n';
	lineio_echo(f->io, answer, (size_t)(line + len + 1 - answer));
	return (true);
}

static void
on_filter_line(void *arg, char *line, size_t len, bool first)
{
	struct filter	 *f = arg;
	struct filterline fl;
	const char	 *bad;

	(void)first;
	if (f->registered && echo_data(f, line, len))
		return;
	if ((bad = filterline_parse(line, len, &fl)) != NULL) {
		log_once("unexpected from smtpd: a malformed line: %s", bad);
		return;
	}
	if (fl.kind == LINE_CONFIG)
		on_config(f, &fl);
	else if (!f->registered)
		log_once("unexpected from smtpd: a line before registration");
	else if (fl.kind == LINE_REPORT && fl.out)
		on_out_report(f, &fl);
	else if (fl.kind == LINE_REPORT)
		on_report(f, &fl);
	else
		on_request(f, &fl);
}

/* A line of a message is lost: the message must not go out without it. */
static void
on_filter_overlong(void *arg, char *head, size_t len)
{
	struct filter  *f = arg;
	struct session *s;

	log_once("a line over %d bytes is dropped, and the message that it "
		 "is of deferred",
	    LINEIO_MAX);
	if (filterline_data(head, len, &f->run) == NULL)
		return;
	if ((s = find_last(f, f->run.session)) != NULL)
		message_damaged(s);
}

static void
on_filter_eof(void *arg)
{
	struct filter *f = arg;

	event_base_loopbreak(f->base);
}

static const struct lineio_handler filter_handler = { on_filter_line,
	on_filter_overlong, on_filter_eof };

static void
close_all(struct filter *f)
{
	struct session *s, *next;

	HASH_ITER(hh, f->sessions.byid, s, next)
	close_session(f, s);
}

/* What the functions want told, at the message that it came with. */
static void
on_told(void *arg, const char *user, const char *account,
    const struct quota_words *words)
{
	struct filter *f = arg;

	alarms_tell(user, words);
	events_tell(f->writequeue, f->conf, user, account, words);
}

static void
each_total(const void *totals, state_field_cb cb, void *arg)
{
	totals_each(totals, cb, arg);
}

static void
filter_start(struct filter *f, const char *file)
{
	if ((f->base = event_base_new()) == NULL)
		log_fatal("creating the event loop");
	if ((f->workers = spfworkers_new()) == NULL)
		log_fatal("starting the process that starts SPF workers");
	if (f->conf->spf != SPF_OFF &&
	    (f->spf = spf_new(f->base, f->conf, f->workers)) == NULL)
		log_fatal("setting up SPF workers");
	if ((f->pool = passwd_pool_new(f->base, THREADS)) == NULL)
		log_fatal("starting threads for passwords");
	if ((f->servers = servers_new(f->base, f->conf)) == NULL)
		exit(1);
	if ((f->users = users_new(f->servers, f->conf)) == NULL ||
	    (f->writequeue = writequeue_new(f->base, f->servers)) == NULL ||
	    (f->reports.ids = reportids_new()) == NULL ||
	    (f->functions = functions_new(f->servers)) == NULL ||
	    (f->totals = totals_new(f->base)) == NULL ||
	    (f->reload = reload_new(f, file)) == NULL ||
	    (f->state = state_new(f->base, STATE_FILTER)) == NULL ||
	    (f->failures.logged = recent_new(FAILURES_LOGGED,
		 FAILURES_LOG_PAUSE)) == NULL ||
	    (f->quotas.logged = recent_new(QUOTA_LOGGED, QUOTA_LOG_PAUSE)) ==
		NULL ||
	    (f->io = lineio_new(f->base, STDIN_FILENO, STDOUT_FILENO,
		 &filter_handler, f)) == NULL)
		log_fatal("setting up");
	f->nexthops.cb = on_delivered;
	f->nexthops.arg = f;
	f->quotas.event = on_told;
	f->quotas.event_arg = f;
	state_add(f->state, each_total, f->totals);
	reload_share(f);
	charges_watch(&f->quotas);
}

static void
filter_stop(struct filter *f)
{
	close_all(f);
	login_stop(f);
	nexthops_clear(&f->nexthops);
	owners_free(f->owners);
	reload_free(f->reload);
	spf_free(f->spf);
	spfworkers_free(f->workers);
	lineio_free(f->io);
	state_free(f->state);
	totals_free(f->totals);
	writequeue_free(f->writequeue);
	reportids_free(f->reports.ids);
	recent_free(f->failures.logged);
	recent_free(f->quotas.logged);
	functions_free(f->functions);
	users_free(f->users);
	servers_free(f->servers);
	passwd_pool_free(f->pool);
	event_base_free(f->base);
	conf_free(f->conf);
}

static int
run(const char *file)
{
	struct filter f = { .registered = false };

	log_starting();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN); /* until it is read again at that */
	if (!sandbox_begin())
		log_fatal("setting no_new_privs");
	if ((f.conf = conf_load_logged(file)) == NULL)
		return (1);
	LIST_INIT(&f.late_logins);
	filter_start(&f, file);
	if (!sandbox_program())
		log_fatal("installing the seccomp(2) filter");
	log_info("confined to Redis, the DNS and reading files; spf workers to "
		 "name servers");
	event_base_dispatch(f.base);
	filter_stop(&f);
	return (0);
}

/* What it is started for. */
enum task {
	TASK_RUN,
	TASK_CHECK,
	TASK_PRINT,
	TASK_EXPLAIN
};

struct options {
	enum task		task;
	const char	       *file;
	const char	       *user; /* TASK_CHECK; NULL: smtpd's */
	struct explain_question question;
};

/* As smtpd would run it, but for smtpd. */
static int
check(const struct options *o)
{
	struct filter f = { .registered = false };
	int	      status;

	status = check_conf(o->user, CHECK_FILTER, o->file, &f.conf);
	if (status != 0)
		return (status);
	conf_print(f.conf, stdout);
	if ((f.base = event_base_new()) == NULL)
		log_fatal("creating the event loop");
	if ((f.servers = servers_new(f.base, f.conf)) == NULL)
		return (EX_UNAVAILABLE);
	if ((f.functions = functions_new(f.servers)) == NULL)
		log_fatal("setting up");
	status = check_redis(f.base, f.conf, f.servers, CHECK_FILTER);
	functions_free(f.functions);
	servers_free(f.servers);
	event_base_free(f.base);
	conf_free(f.conf);
	return (status);
}

static int
print_or_explain(const struct options *o)
{
	struct conf *conf = conf_load(o->file, stderr);
	int	     status = 0;

	if (conf == NULL)
		return (1);
	if (o->task == TASK_PRINT)
		conf_print(conf, stdout);
	else
		status = explain(conf, &o->question);
	conf_free(conf);
	return (status);
}

static void __attribute__((__noreturn__))
usage(void)
{
	fprintf(stderr,
	    "usage: filter-smtpusers [-f file]\n"
	    "       filter-smtpusers -n [-f file] [-u user[:group]]\n"
	    "       filter-smtpusers -p [-f file]\n"
	    "       filter-smtpusers -e name [-f file] [-H header] "
	    "[-m sender] [-s source]\n"
	    "       filter-smtpusers -V\n");
	exit(1);
}

static void
take_option(struct options *o, int ch)
{
	switch (ch) {
	case 'e':
		o->task = TASK_EXPLAIN;
		o->question.name = optarg;
		break;
	case 'f':
		o->file = optarg;
		break;
	case 'H':
		o->question.header = optarg;
		break;
	case 'm':
		o->question.sender = optarg;
		break;
	case 'n':
		o->task = TASK_CHECK;
		break;
	case 'p':
		o->task = TASK_PRINT;
		break;
	case 'S':
		spfstarter();
	case 's':
		o->question.source = optarg;
		break;
	case 'u':
		o->user = optarg;
		break;
	case 'V':
		puts("filter-smtpusers " SMTPUSERS_VERSION);
		exit(0);
	case 'W':
		spfworker();
	default:
		usage();
	}
}

int
main(int argc, char *argv[])
{
	struct options o = { .file = DEFAULT_CONF, .question.sender = "" };
	int	       ch;

	while ((ch = getopt(argc, argv, "e:f:H:m:npSs:u:VW")) != -1)
		take_option(&o, ch);
	if (argc != optind)
		usage();
	log_init("filter-smtpusers");
	switch (o.task) {
	case TASK_RUN:
		return (run(o.file));
	case TASK_CHECK:
		return (check(&o));
	default:
		return (print_or_explain(&o));
	}
}
