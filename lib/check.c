/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <errno.h>
#include <event2/event.h>
#include <grp.h>
#include <hiredis/hiredis.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "check.h"
#include "conf.h"
#include "key.h"
#include "log.h"
#include "server.h"
#include "servers.h"
#include "trouble.h"

#define WORDS_MAX 8
#define SERVERS_MAX 1024
#define NUMBERS 150000 /* with so many, there is a name in each slot */

/* smtpd's user: of OpenBSD, of Debian, of others. */
static const char *const smtpd_users[] = { "_smtpd", "opensmtpd", "smtpd" };

static const struct passwd *
find_user(const char *name)
{
	const struct passwd *pw = NULL;
	size_t		     i;

	if (name != NULL)
		return (getpwnam(name));
	for (i = 0; i < sizeof(smtpd_users) / sizeof(smtpd_users[0]); i++)
		if ((pw = getpwnam(smtpd_users[i])) != NULL)
			break;
	return (pw);
}

static int
become(const struct passwd *pw, gid_t gid, enum check_program program)
{
	int failed = program == CHECK_TABLE ? initgroups(pw->pw_name, gid)
					    : setgroups(1, &gid);

	if (failed == 0 && setresgid(gid, gid, gid) == 0 &&
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) == 0)
		return (0);
	log_err("cannot become %s: %s", pw->pw_name, strerror(errno));
	return (EX_OSERR);
}

/* Whose rights did not suffice, perhaps. */
static void
tell_who(void)
{
	const struct passwd *pw = getpwuid(geteuid());
	const struct group  *gr = getgrgid(getegid());

	log_warnx("tried as %s:%s; what smtpd runs has these rights and no "
		  "more: see Privileges in filter-smtpusers(8)",
	    pw != NULL ? pw->pw_name : "?", gr != NULL ? gr->gr_name : "?");
}

static int
check_become(const char *who, enum check_program program)
{
	char		     name[64] = "", *group;
	const struct passwd *pw;
	const struct group  *gr = NULL;

	strlcpy(name, who != NULL ? who : "", sizeof(name));
	if ((group = strchr(name, ':')) != NULL)
		*group++ = '\0';
	if ((pw = find_user(who != NULL ? name : NULL)) == NULL ||
	    (group != NULL && (gr = getgrnam(group)) == NULL)) {
		log_err("%s: no such user or group here; -u user[:group] says "
			"whom smtpd runs this as",
		    who != NULL ? who : "smtpd's user");
		return (EX_NOUSER);
	}
	if (geteuid() == 0)
		return (become(pw, gr != NULL ? gr->gr_gid : pw->pw_gid,
		    program));
	if (geteuid() != pw->pw_uid)
		log_warnx("tried as the present user and not as %s, whom smtpd "
			  "runs this as: run it as root",
		    pw->pw_name);
	return (0);
}

int
check_conf(const char *who, enum check_program program, const char *file,
    struct conf **conf)
{
	int status = check_become(who, program);

	if (status != 0)
		return (status);
	if ((*conf = conf_load(file, stderr)) != NULL)
		return (0);
	tell_who();
	return (1);
}

/*
 * A command as it is sent, but so that nothing comes of it: what writes is
 * given arguments that Redis finds wrong only after it has looked at the
 * permissions.  Behind @ is the kind of a key, and its part.
 */
struct probe {
	int	    least; /* the table needs fewer */
	const char *words[WORDS_MAX];
};

/* A filter that counts for alarms needs more. */
#define CHECK_ALARMS (CHECK_FILTER + 1)

/* With the name that is tried, none of these can be there. */
#define USER "@user"
#define LIST "@user:ips"
#define SUPPRESSED "@user:suppressed"
#define LAST "@user:last"
#define LOG "@user:log"
#define USED "@user:used:quota"
#define COUNTED "@user:used:alarm:sources"
#define DOMAINS "@user:domains"
#define SENDERS "@user:used:senders"
#define UNTIL "@user:used:senders:until"
#define ACCOUNT_USED "@account:used:quota"
#define ACCOUNT "@account"
#define ADDRESS "@ip"
#define REPORT "@report"
#define FAILURES "@failures"
#define RELAY "@relay"
#define STATS "@stats"
#define TOP "@top:messages"

/* This one may be there. */
#define EVENTS "@events"

/*
 * As TROUBLE_PROBE has it.  A number behind it makes a key that is in a slot of
 * another server.
 */
#define NAME "-n"

#define VERSION "smtpusers_version"

static const struct probe probes[] = { { CHECK_TABLE, { "PING" } },
	{ CHECK_TABLE, { "HMGET", USER, "password" } },
	{ CHECK_TABLE, { "HMGET", ACCOUNT, "plan" } },
	{ CHECK_TABLE, { "SCARD", LIST } },
	{ CHECK_TABLE, { "SRANDMEMBER", LIST, "1" } },
	{ CHECK_TABLE, { "SMISMEMBER", LIST, "192.0.2.1" } },
	{ CHECK_TABLE, { "SSCAN", LIST, "0", "COUNT", "1" } },
	{ CHECK_TABLE, { "MEMORY", "USAGE", USER } },
	{ CHECK_TABLE, { "GET", ADDRESS } },
	{ CHECK_TABLE, { "HSET", RELAY, "version", "0", "odd" } },
	{ CHECK_TABLE, { "EXPIRE", RELAY, "no" } },
	{ CHECK_TABLE, { "ZADD", RELAY, "no", "table" } },
	{ CHECK_TABLE, { "ZREMRANGEBYSCORE", RELAY, "no", "no" } },
	{ CHECK_FILTER, { "ZCARD", SUPPRESSED } },
	{ CHECK_FILTER, { "ZMSCORE", SUPPRESSED, "a" } },
	{ CHECK_FILTER, { "TIME" } }, { CHECK_FILTER, { "WAIT", "0", "1" } },
	{ CHECK_FILTER, { "SET", USED, "0", "EX", "0" } },
	{ CHECK_FILTER, { "DEL", USED } },
	{ CHECK_FILTER, { "SET", ACCOUNT_USED, "0", "EX", "0" } },
	{ CHECK_FILTER, { "HGET", SENDERS, "x" } },
	{ CHECK_FILTER, { "HDEL", SENDERS, "x" } },
	{ CHECK_FILTER, { "SISMEMBER", DOMAINS, "x" } },
	{ CHECK_FILTER, { "ZSCORE", UNTIL, "x" } },
	{ CHECK_FILTER, { "ZCOUNT", UNTIL, "0", "0" } },
	{ CHECK_FILTER, { "ZRANGEBYSCORE", UNTIL, "0", "0" } },
	{ CHECK_FILTER, { "ZADD", UNTIL, "no", "x" } },
	{ CHECK_FILTER, { "ZREM", UNTIL, "x" } },
	{ CHECK_FILTER, { "HSET", LAST, "login", "0", "odd" } },
	{ CHECK_FILTER, { "XADD", LOG, "MAXLEN", "no", "*", "a", "b" } },
	{ CHECK_FILTER, { "HSET", REPORT, "user", "0", "odd" } },
	{ CHECK_FILTER, { "EXPIRE", REPORT, "no" } },
	/* What has no end is given none by this. */
	{ CHECK_FILTER, { "EXPIRE", EVENTS, "1", "GT" } },
	{ CHECK_FILTER, { "FCALL", VERSION, "1", USER } },
	{ CHECK_FILTER, { "FCALL", VERSION, "1", ACCOUNT } },
	{ CHECK_FILTER, { "FCALL", VERSION, "1", FAILURES } },
	{ CHECK_FILTER, { "HINCRBY", STATS, "a", "no" } },
	{ CHECK_FILTER, { "ZINCRBY", TOP, "no", "a" } },
	{ CHECK_FILTER, { "ZADD", TOP, "no", "a" } },
	{ CHECK_ALARMS, { "HLEN", USER } },
	{ CHECK_ALARMS, { "UNLINK", COUNTED } },
	{ CHECK_ALARMS, { "PFCOUNT", COUNTED } },
	{ CHECK_ALARMS, { "PEXPIRE", COUNTED, "no", "LT" } },
	{ CHECK_ALARMS, { "PEXPIRETIME", COUNTED } },
	/* In no form would these leave nothing behind. */
	{ CHECK_ALARMS, { "FCALL", VERSION, "1", COUNTED, "SADD", "PFADD" } } };

struct look {
	const struct conf *conf;
	struct event_base *base;
	struct servers	  *servers;
	int		   most;   /* of what a probe is for */
	size_t		   at;	   /* the probe that is under way */
	unsigned int	   number; /* behind the name in its key; 0: none */
	const struct server
		     *tried[SERVERS_MAX]; /* the one it is at is the last */
	size_t	      ntried;
	int	      problems;
	struct event *retry;
	int	      retries; /* left */
};

static void probe_next(struct look *);

/* KIND or KIND:PART */
static void
write_probe_key(const struct look *look, const char *word, char key[KEY_TEXT])
{
	char	    name[sizeof(NAME) + 10] = NAME, kind[16];
	const char *part = strchr(word, ':');

	if (strcmp(word, &EVENTS[1]) == 0) {
		key_events(key, look->conf->prefix);
		return;
	}
	if (look->number > 0)
		snprintf(name, sizeof(name), NAME "%u", look->number);
	snprintf(kind, sizeof(kind), "%.*s", (int)strcspn(word, ":"), word);
	key_of_kind(key, look->conf->prefix, kind, name,
	    part != NULL ? part + 1 : "");
}

/*
 * Writes the words of the probe; returns how many.  key is the last of them that
 * is one, or NULL.
 */
static int
probe_words(const struct look *look, const char *words[WORDS_MAX],
    char keys[WORDS_MAX][KEY_TEXT], const char **key)
{
	const struct probe *p = &probes[look->at];
	int		    n;

	*key = NULL;
	for (n = 0; n < WORDS_MAX && p->words[n] != NULL; n++) {
		words[n] = p->words[n];
		if (words[n][0] != '@')
			continue;
		write_probe_key(look, words[n] + 1, keys[n]);
		*key = words[n] = keys[n];
	}
	return (n);
}

/* The server that is tried is that of this key. */
static struct server *
server_tried(const struct look *look, char key[KEY_TEXT])
{
	write_probe_key(look, &USER[1], key);
	return (servers_of_key(look->servers, key));
}

static void
log_problem(struct look *look, const char *what)
{
	char		     keys[WORDS_MAX][KEY_TEXT], own[KEY_TEXT];
	char		     place[PLACE_TEXT];
	const char	    *words[WORDS_MAX], *key;
	const struct server *server = server_tried(look, own);
	const bool	     several = server != NULL &&
	    look->conf->places.topology != REDIS_ONE;

	probe_words(look, words, keys, &key);
	look->problems++;
	log_err("redis: %s%s%s%s%s: %.200s",
	    several ? place_text(&server->place, place) : "",
	    several ? ": " : "", probes[look->at].words[0],
	    key != NULL ? " " : "", key != NULL ? key : "", what);
}

/* Redis finds fault with the arguments, as it should, or with more. */
static bool
is_problem(const redisReply *reply)
{
	return (reply->type == REDIS_REPLY_ERROR &&
	    (strncmp(reply->str, "ERR ", 4) != 0 ||
		strstr(reply->str, "unknown command") != NULL ||
		strstr(reply->str, "Function not found") != NULL));
}

/* The functions may be about to be loaded. */
static bool
wait_for_function(struct look *look, const redisReply *reply)
{
	const struct timeval tv = { 0, SERVERS_RETRY };

	return (strstr(reply->str, "Function not found") != NULL &&
	    look->retries-- > 0 && event_add(look->retry, &tv) == 0);
}

static void
on_probed(void *arg, const redisReply *reply)
{
	struct look *look = arg;

	if (reply == NULL)
		log_problem(look, "no answer");
	else if (is_problem(reply)) {
		if (wait_for_function(look, reply))
			return;
		log_problem(look, reply->str);
	}
	look->at++;
	probe_next(look);
}

static void next_server(struct look *);

static void
send_probe(struct look *look)
{
	char	    keys[WORDS_MAX][KEY_TEXT], own[KEY_TEXT];
	const char *words[WORDS_MAX], *key;
	int	    n = probe_words(look, words, keys, &key);

	server_tried(look, own);
	if (servers_send(look->servers, key != NULL ? key : own, on_probed,
		look, n, words) != NULL)
		return;
	log_problem(look, "the connection is lost");
	next_server(look);
}

static void
on_probe_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	send_probe(arg);
}

static bool
is_needed(const struct look *look, const struct probe *p)
{
	if (strcmp(p->words[0], "WAIT") == 0 && look->conf->redis_replicas == 0)
		return (false);
	/* The key is of one server, and was tried with the first. */
	if (look->ntried > 1 && p->words[1] != NULL &&
	    strcmp(p->words[1], EVENTS) == 0)
		return (false);
	return (p->least <= look->most);
}

static bool
is_tried(const struct look *look, const struct server *server)
{
	size_t i;

	for (i = 0; i < look->ntried; i++)
		if (look->tried[i] == server)
			return (true);
	return (false);
}

/* Finds a name that is of a server that was not tried. */
static bool
find_server(struct look *look)
{
	const struct server *server;
	char		     key[KEY_TEXT];

	if (look->conf->places.topology != REDIS_CLUSTER ||
	    look->ntried == SERVERS_MAX)
		return (false);
	while (++look->number < NUMBERS) {
		server = server_tried(look, key);
		if (server == NULL || is_tried(look, server))
			continue;
		look->tried[look->ntried++] = server;
		return (true);
	}
	return (false);
}

/* Each that holds data has its own users of Redis, and its own functions. */
static void
next_server(struct look *look)
{
	if (!find_server(look)) {
		event_base_loopbreak(look->base);
		return;
	}
	look->at = 0;
	probe_next(look);
}

/* On to the next probe that is the program's. */
static void
probe_next(struct look *look)
{
	const size_t n = sizeof(probes) / sizeof(probes[0]);

	while (look->at < n && !is_needed(look, &probes[look->at]))
		look->at++;
	if (look->at < n)
		send_probe(look);
	else
		next_server(look);
}

static void
on_check_ready(void *arg)
{
	struct look *look = arg;
	char	     key[KEY_TEXT];

	if (servers_ready(look->servers)) {
		look->tried[look->ntried++] = server_tried(look, key);
		probe_next(look);
		return;
	}
	look->problems++;
	log_err("redis: %s: cannot be used, for the reason in the line before",
	    look->conf->redis);
	event_base_loopbreak(look->base);
}

static bool
has_alarms(const struct conf *conf)
{
	size_t i;

	for (i = 0; i < ALARM_KINDS; i++)
		if (conf->alarms[i].action != ALARM_OFF)
			return (true);
	return (false);
}

int
check_redis(struct event_base *base, const struct conf *conf,
    struct servers *servers, enum check_program program)
{
	struct look look = { .conf = conf,
		.base = base,
		.servers = servers,
		.most = program == CHECK_FILTER && has_alarms(conf)
		    ? CHECK_ALARMS
		    : (int)program,
		.retries = conf->redis_timeout * 1000 / SERVERS_RETRY };

	if ((look.retry = evtimer_new(base, on_probe_again, &look)) == NULL)
		return (EX_OSERR);
	servers_when_ready(servers, on_check_ready, &look);
	event_base_dispatch(base);
	event_free(look.retry);
	if (look.problems == 0)
		return (0);
	tell_who();
	return (EX_UNAVAILABLE);
}
