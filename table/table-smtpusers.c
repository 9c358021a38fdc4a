/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * Answers smtpd's lookups from Redis.  This is the one file of the table that
 * knows both smtpd-tables(7) and the users in Redis: a request comes in as a
 * line, becomes a question about a user, and the answer goes back as a line.
 *
 * smtpd asks one question at a time and stands still until the answer comes,
 * so there is one request at most, and a timer that answers it in any case.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <event2/event.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "conf.h"
#include "lineio.h"
#include "log.h"
#include "netaddr.h"
#include "passwords.h"
#include "recent.h"
#include "sandbox.h"
#include "servers.h"
#include "state.h"
#include "tableline.h"
#include "tally.h"
#include "users.h"

/*
 * Who guesses at a name that nobody has does so again: smtpd need not wait for
 * Redis each time.  Who gets the name is unknown for so many seconds at most.
 */
#define UNKNOWN_SIZE 4096
#define UNKNOWN_TTL 1

/* The question that smtpd waits for. */
struct request {
	bool		       pending;
	enum tableline_kind    kind;
	enum tableline_service service;
	char		       id[TABLELINE_ID];
	char		      *password; /* SERVICE_AUTH */
	struct users_query    *query;
	struct netaddr	       address;
	char		       name[USER_NAME_MAX + 1];
};

/* Where the answers come from: a configuration, and what it leads to. */
struct source {
	struct conf    *conf;
	struct servers *servers;
	struct users   *users;
};

struct table {
	const char	  *conf_file;
	struct source	   source;
	struct source	   next; /* of an update, until it has answered */
	struct event_base *base;
	struct lineio	  *io;
	struct passwords  *passwords;
	struct recent	  *unknown; /* names, lately */
	struct event	  *deadline;
	bool		   offers_auth;
	bool		   registered;
	struct request	   request;
	struct state	  *state;
};

/*
 * Up to 7.8 smtpd folds the key to lower case, and with it the password that
 * the auth service would get.
 */
static bool
keeps_case(const char *version)
{
	char *end;
	long  major, minor = 0;

	major = strtol(version, &end, 10);
	if (end != version && *end == '.')
		minor = strtol(end + 1, NULL, 10);
	return (major > 7 || (major == 7 && minor >= 9));
}

static const char *
operation(enum tableline_kind kind)
{
	switch (kind) {
	case TABLE_CHECK:
		return ("check");
	case TABLE_LOOKUP:
		return ("lookup");
	case TABLE_FETCH:
		return ("fetch");
	default:
		return ("update");
	}
}

static void
close_source(struct source *s)
{
	users_free(s->users);
	servers_free(s->servers);
	conf_free(s->conf);
	memset(s, 0, sizeof(*s));
}

/* Takes the configuration, also where it fails. */
static bool
open_source(struct source *s, struct event_base *base, struct conf *conf)
{
	s->conf = conf;
	if ((s->servers = servers_new(base, conf)) != NULL &&
	    (s->users = users_new(s->servers, conf)) != NULL)
		return (true);
	close_source(s);
	return (false);
}

/* Forgets the request, and everything that was going on for it. */
static void
clear_request(struct table *t)
{
	struct request *req = &t->request;

	event_del(t->deadline);
	close_source(&t->next);
	if (req->query != NULL)
		users_cancel(req->query);
	if (req->password != NULL)
		freezero(req->password, strlen(req->password));
	memset(req, 0, sizeof(*req));
}

static void
count_answer(enum tableline_kind kind, const char *what)
{
	if (kind == TABLE_UPDATE)
		return;
	if (strcmp(what, "found") == 0)
		tally_add(TALLY_LOOKUPS_FOUND, 1);
	else if (strcmp(what, "not-found") == 0)
		tally_add(TALLY_LOOKUPS_NOT_FOUND, 1);
	else
		tally_add(TALLY_LOOKUPS_FAILED, 1);
}

static void
answer(struct table *t, const char *what)
{
	count_answer(t->request.kind, what);
	lineio_printf(t->io, "%s-result|%s|%s\n", operation(t->request.kind),
	    t->request.id, what);
	clear_request(t);
}

static void
answer_credentials(struct table *t, const struct user *user)
{
	if (t->request.kind == TABLE_CHECK) {
		answer(t, "found");
		return;
	}
	count_answer(TABLE_LOOKUP, "found");
	lineio_printf(t->io, "lookup-result|%s|found|%s:%s\n", t->request.id,
	    user->name, user->password);
	clear_request(t);
}

static void
refuse_update(struct table *t, const char *why)
{
	log_err("%s: %s: the configuration in force stays as it was",
	    t->conf_file, why);
	answer(t, "error|the configuration in force stays as it was");
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct table *t = arg;

	(void)fd;
	(void)what;
	if (!t->request.pending)
		return;
	passwords_give_up(t->passwords);
	if (t->request.kind == TABLE_UPDATE)
		refuse_update(t, "redis cannot be asked");
	else
		answer(t, "error|no answer in time");
}

static void
answer_password(void *arg, enum passwords_answer found)
{
	switch (found) {
	case PASSWORDS_RIGHT:
		answer(arg, "found");
		break;
	case PASSWORDS_WRONG:
		answer(arg, "not-found");
		break;
	case PASSWORDS_FULL:
		answer(arg, "error|too many passwords to verify");
		break;
	case PASSWORDS_ERROR:
		answer(arg, "error|the stored hash cannot be computed");
		break;
	case PASSWORDS_LATER:
		break;
	}
}

static bool
is_unknown(const struct table *t)
{
	const char *name = t->request.name;
	uint8_t	    digest[DIGEST_LEN];

	digest_strings(digest, 1, &name);
	return (recent_has(t->unknown, digest));
}

static void
learn_unknown(struct table *t)
{
	const char *name = t->request.name;

	(void)recent_add_new(t->unknown, 1, &name);
}

/* A user who cannot log in costs nothing: smtpd's pause hides who is there. */
static void
check_auth(struct table *t, const struct user *user)
{
	if (user == NULL) {
		learn_unknown(t);
		answer(t, "not-found");
	} else if (!user_can_log_in(user))
		answer(t, "not-found");
	else
		answer_password(t,
		    passwords_check(t->passwords, user, t->request.password));
}

static void
check_user(struct table *t, const struct user *user)
{
	switch (t->request.service) {
	case SERVICE_CREDENTIALS:
		if (user != NULL && user_can_log_in(user))
			answer_credentials(t, user);
		else
			answer(t, "not-found");
		break;
	case SERVICE_NETADDR:
		if (user != NULL && user_active(user) &&
		    user_source_allowed(user))
			answer(t, "found");
		else
			answer(t, "not-found");
		break;
	default:
		check_auth(t, user);
		break;
	}
}

static void
on_user(void *arg, enum users_found found, const struct user *user)
{
	struct table *t = arg;

	t->request.query = NULL;
	switch (found) {
	case USER_OK:
	case USER_NONE:
		check_user(t, user);
		break;
	case USER_BAD:
		answer(t, "error|bad record");
		break;
	case USER_UNASKED:
	case USER_UNAVAILABLE:
		answer(t, "error|redis cannot be asked");
		break;
	}
}

static void
ask_user(struct table *t, const char *key)
{
	struct users_question question = { .name = t->request.name,
		.scope = USER_LOGIN };

	if (!user_fold_name(key, t->request.name)) {
		answer(t, "not-found");
		return;
	}
	if (t->request.service == SERVICE_AUTH && is_unknown(t)) {
		answer(t, "not-found");
		return;
	}
	t->request.query = users_ask(t->source.users, &question, on_user, t);
	if (t->request.query == NULL)
		answer(t, "error|redis cannot be asked");
}

static void
ask_address(struct table *t, const char *key)
{
	struct request	     *req = &t->request;
	struct users_question question = { .address = &req->address,
		.source = &req->address,
		.scope = USER_LOGIN };

	/* smtpd asks for "local" too. */
	if (!netaddr_parse(key, &req->address)) {
		answer(t, "not-found");
		return;
	}
	req->query = users_ask(t->source.users, &question, on_user, t);
	if (req->query == NULL)
		answer(t, "error|redis cannot be asked");
}

/* The key is user:password. */
static void
ask_auth(struct table *t, const char *key)
{
	char   name[USER_NAME_MAX + 2];
	size_t len = strcspn(key, ":");

	if (key[len] == '\0') {
		answer(t, "not-found");
		return;
	}
	t->request.password = strdup(key + len + 1);
	if (t->request.password == NULL) {
		answer(t, "error|out of memory");
		return;
	}
	if (len >= sizeof(name))
		len = sizeof(name) - 1;
	memcpy(name, key, len);
	name[len] = '\0';
	ask_user(t, name);
}

/* What the new servers are wanting the log has said. */
static void
on_updated(void *arg)
{
	struct table *t = arg;
	struct source before = t->source;

	if (!servers_ready(t->next.servers)) {
		refuse_update(t, "redis cannot be asked");
		return;
	}
	t->source = t->next;
	memset(&t->next, 0, sizeof(t->next));
	state_use(t->state, t->source.servers, t->source.conf);
	close_source(&before);
	answer(t, "ok");
}

static void
update(struct table *t)
{
	struct conf *conf = conf_load_logged(t->conf_file);

	if (conf == NULL)
		refuse_update(t, "it has errors");
	else if (!open_source(&t->next, t->base, conf))
		refuse_update(t, "redis cannot be set up");
	else
		servers_when_ready(t->next.servers, on_updated, t);
}

static bool
serves(const struct tableline *tl)
{
	switch (tl->service) {
	case SERVICE_AUTH:
	case SERVICE_NETADDR:
		return (tl->kind == TABLE_CHECK);
	case SERVICE_CREDENTIALS:
		return (tl->kind == TABLE_CHECK || tl->kind == TABLE_LOOKUP);
	default:
		return (false);
	}
}

static void
begin_request(struct table *t, const struct tableline *tl)
{
	struct request *req = &t->request;
	struct timeval	tv = conf_deadline(t->source.conf);

	req->pending = true;
	req->kind = tl->kind;
	req->service = tl->service;
	strlcpy(req->id, tl->id, sizeof(req->id));
	event_add(t->deadline, &tv);

	if (tl->kind == TABLE_UPDATE)
		update(t);
	else if (!serves(tl))
		answer(t, "error|not served");
	else if (tl->service == SERVICE_CREDENTIALS)
		ask_user(t, tl->key);
	else if (tl->service == SERVICE_NETADDR)
		ask_address(t, tl->key);
	else if (t->offers_auth)
		ask_auth(t, tl->key);
	else
		answer(t, "error|not served");
}

static void
on_ready(void *arg)
{
	struct table *t = arg;

	lineio_printf(t->io,
	    "register|credentials\nregister|netaddr\n%s"
	    "register|ready\n",
	    t->offers_auth ? "register|auth\n" : "");
	t->registered = true;
	log_started();
}

static void
configure(struct table *t, const struct tableline *tl)
{
	if (t->registered)
		log_once("unexpected from smtpd: its configuration, twice");
	else if (strcmp(tl->name, "smtpd-version") == 0)
		t->offers_auth = keeps_case(tl->key);
	else if (strcmp(tl->name, "ready") == 0)
		servers_when_ready(t->source.servers, on_ready, t);
}

/*
 * A newline in a key would make two lines of one request.  smtpd sends a
 * request in one go and nothing before it has the answer, so whatever comes
 * along with a request or before its answer is not smtpd's: an answer to it
 * would be taken for that to the next question, which ends smtpd.
 */
static void
on_line(void *arg, char *line, size_t len, bool first)
{
	struct table	*t = arg;
	struct tableline tl;
	const char	*bad;

	if (t->registered && (!first || t->request.pending)) {
		log_once("a line that smtpd cannot have sent is ignored");
		return;
	}
	if ((bad = tableline_parse(line, len, &tl)) != NULL) {
		log_once("unexpected from smtpd: a malformed line: %s", bad);
		return;
	}
	if (tl.kind == TABLE_CONFIG)
		configure(t, &tl);
	else if (!t->registered)
		log_once(
		    "unexpected from smtpd: a request before registration");
	else if (tl.kind == TABLE_UNKNOWN)
		lineio_printf(t->io, "%.64s-result|%s|error|not served\n",
		    tl.name, tl.id);
	else
		begin_request(t, &tl);
}

static void
on_overlong(void *arg, char *head, size_t len)
{
	(void)arg;
	(void)head;
	(void)len;
	log_once("unexpected from smtpd: a line over %d bytes", LINEIO_MAX);
}

static void
on_eof(void *arg)
{
	struct table *t = arg;

	event_base_loopbreak(t->base);
}

static const struct lineio_handler handler = { on_line, on_overlong, on_eof };

static void
table_start(struct table *t, struct conf *conf)
{
	if ((t->base = event_base_new()) == NULL)
		log_fatal("creating the event loop");
	t->passwords = passwords_new(t->base, answer_password, t);
	if (t->passwords == NULL)
		log_fatal("starting threads for passwords");
	t->unknown = recent_new(UNKNOWN_SIZE, UNKNOWN_TTL);
	if (t->unknown == NULL)
		log_fatal("setting up");
	if (!open_source(&t->source, t->base, conf))
		exit(1);
	if ((t->state = state_new(t->base, STATE_TABLE)) == NULL ||
	    (t->deadline = evtimer_new(t->base, on_deadline, t)) == NULL ||
	    (t->io = lineio_new(t->base, STDIN_FILENO, STDOUT_FILENO, &handler,
		 t)) == NULL)
		log_fatal("setting up");
	state_use(t->state, t->source.servers, t->source.conf);
}

static void
table_stop(struct table *t)
{
	clear_request(t);
	lineio_free(t->io);
	state_free(t->state);
	close_source(&t->source);
	event_free(t->deadline);
	passwords_free(t->passwords);
	recent_free(t->unknown);
	event_base_free(t->base);
}

static int
run(const char *file)
{
	static struct table t;
	struct conf	   *conf;

	log_starting();
	signal(SIGPIPE, SIG_IGN);
	if (!sandbox_begin())
		log_fatal("setting no_new_privs");
	t.conf_file = file;
	if ((conf = conf_load_logged(file)) == NULL)
		return (1);
	table_start(&t, conf);
	if (!sandbox_program())
		log_fatal("installing the seccomp(2) filter");
	log_info("confined to Redis, the DNS and reading files");
	event_base_dispatch(t.base);
	table_stop(&t);
	return (0);
}

/* As smtpd would run it, but for smtpd. */
static int
check(const char *file, const char *user)
{
	struct event_base *base;
	struct conf	  *conf;
	struct servers	  *servers;
	int		   status = check_conf(user, CHECK_TABLE, file, &conf);

	if (status != 0)
		return (status);
	if ((base = event_base_new()) == NULL)
		log_fatal("creating the event loop");
	if ((servers = servers_new(base, conf)) == NULL)
		return (EX_UNAVAILABLE);
	status = check_redis(base, conf, servers, CHECK_TABLE);
	servers_free(servers);
	event_base_free(base);
	conf_free(conf);
	return (status);
}

static void __attribute__((__noreturn__))
usage(void)
{
	fprintf(stderr,
	    "usage: table-smtpusers file\n"
	    "       table-smtpusers -n [-u user[:group]] file\n"
	    "       table-smtpusers -V\n");
	exit(1);
}

int
main(int argc, char *argv[])
{
	const char *user = NULL;
	bool	    checks = false;
	int	    ch;

	while ((ch = getopt(argc, argv, "nu:V")) != -1) {
		switch (ch) {
		case 'n':
			checks = true;
			break;
		case 'u':
			user = optarg;
			break;
		case 'V':
			puts("table-smtpusers " SMTPUSERS_VERSION);
			return (0);
		default:
			usage();
		}
	}
	if (argc != optind + 1)
		usage();
	log_init("table-smtpusers");
	return (checks ? check(argv[optind], user) : run(argv[optind]));
}
