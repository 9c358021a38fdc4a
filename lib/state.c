/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "conf.h"
#include "key.h"
#include "servers.h"
#include "state.h"
#include "tally.h"

#define FIRST 1 /* seconds from the start to the first time */
#define NUMBER 24
#define FIELDS (2 * NTALLIES + 12 + STATE_MORE)

#define OF_FILTER (1U << STATE_FILTER)
#define OF_TABLE (1U << STATE_TABLE)
#define OF_BOTH (OF_FILTER | OF_TABLE)

/* How fields are called, smtpusers-schema(7). */
static const struct {
	const char  *name;
	const char  *minute; /* NULL: it goes down as well as up */
	unsigned int of;
} fields[NTALLIES] = {
#define COUNTER(which, text, of) [which] = { text, text "_minute", of }
	[TALLY_SESSIONS] = { "sessions", NULL, OF_FILTER },
	COUNTER(TALLY_CONNECTIONS, "connections", OF_FILTER),
	COUNTER(TALLY_CONNECTIONS_REFUSED, "connections_refused", OF_FILTER),
	COUNTER(TALLY_LOGINS_ACCEPTED, "logins_accepted", OF_FILTER),
	COUNTER(TALLY_LOGINS_REFUSED, "logins_refused", OF_FILTER),
	COUNTER(TALLY_LOGINS_FAILED, "logins_failed", OF_FILTER),
	COUNTER(TALLY_MESSAGES_ACCEPTED, "messages_accepted", OF_FILTER),
	COUNTER(TALLY_MESSAGES_SANDBOXED, "messages_sandboxed", OF_FILTER),
	COUNTER(TALLY_MESSAGES_TRUSTED, "messages_trusted", OF_FILTER),
	COUNTER(TALLY_MESSAGES_REFUSED, "messages_refused", OF_FILTER),
	COUNTER(TALLY_MESSAGES_DEFERRED, "messages_deferred", OF_FILTER),
	COUNTER(TALLY_MESSAGES_FAILED, "messages_failed", OF_FILTER),
	COUNTER(TALLY_RECIPIENTS_REFUSED, "recipients_refused", OF_FILTER),
	COUNTER(TALLY_TEMPORARY_FAILURES, "temporary_failures", OF_FILTER),
	[TALLY_WRITES_WAITING] = { "writes_waiting", NULL, OF_FILTER },
	COUNTER(TALLY_WRITES_LOST, "writes_lost", OF_FILTER),
	COUNTER(TALLY_ALARMS, "alarms", OF_FILTER),
	COUNTER(TALLY_LIMITS_REACHED, "limits_reached", OF_FILTER),
	COUNTER(TALLY_SPF_QUESTIONS, "spf_questions", OF_FILTER),
	COUNTER(TALLY_SPF_FAILURES, "spf_failures", OF_FILTER),
	COUNTER(TALLY_LOOKUPS_FOUND, "lookups_found", OF_TABLE),
	COUNTER(TALLY_LOOKUPS_NOT_FOUND, "lookups_not_found", OF_TABLE),
	COUNTER(TALLY_LOOKUPS_FAILED, "lookups_failed", OF_TABLE),
	COUNTER(TALLY_REDIS_REQUESTS, "redis_requests", OF_BOTH),
	COUNTER(TALLY_REDIS_UNANSWERED, "redis_unanswered", OF_BOTH),
	COUNTER(TALLY_REDIS_TIME, "redis_time", OF_BOTH),
#undef COUNTER
};

static const char *const names[] = { "filter", "table" };

/* What is to be written, with the numbers as text. */
struct words {
	int	    n;
	const char *v[2 + 2 * FIELDS];
	size_t	    nnumbers;
	char	    number[FIELDS][NUMBER];
	size_t	    nnames;
	char	    name[STATE_MORE][STATE_FIELD];
};

struct state {
	enum state_program program;
	struct servers	  *servers; /* NULL: not in use yet */
	const struct conf *conf;
	struct event	  *timer;
	time_t		   started;
	bool		   begun; /* what was there before us is gone */
	void (*each)(const void *, state_field_cb, void *);
	const void  *each_arg;
	struct words words;
};

static void
add_text(struct words *w, const char *name, const char *text)
{
	w->v[w->n++] = name;
	w->v[w->n++] = text;
}

static void
add_number(struct words *w, const char *name, int64_t n)
{
	char *text = w->number[w->nnumbers++];

	snprintf(text, NUMBER, "%" PRId64, n);
	add_text(w, name, text);
}

static void
add_tallies(struct words *w, enum state_program program)
{
	enum tally i;

	for (i = 0; i < NTALLIES; i++) {
		if ((fields[i].of & 1U << program) == 0)
			continue;
		add_number(w, fields[i].name, tallies[i]);
		if (fields[i].minute != NULL)
			add_number(w, fields[i].minute, tally_minute(i));
	}
}

static void
add_latency(struct words *w)
{
	const struct tally_latency latency = tally_latency();

	add_number(w, "redis_median", latency.median);
	add_number(w, "redis_p99", latency.p99);
	add_number(w, "redis_worst", latency.worst);
}

static void
on_field(void *arg, const char *name, uint64_t n)
{
	struct words *w = arg;
	char	     *copy;

	if (w->nnames == STATE_MORE)
		return;
	copy = w->name[w->nnames++];
	strlcpy(copy, name, STATE_FIELD);
	add_number(w, copy, (int64_t)n);
}

/* Fields of the process before, which had counted other reasons, go. */
static void
forget_former(struct state *st, const char *key)
{
	const char *del[] = { "DEL", key };

	if (!st->begun)
		servers_send(st->servers, key, NULL, NULL, 2, del);
}

/* Whatever comes of it: the next time is soon, and what is wrong is logged. */
static void
write_hash(struct state *st, time_t now)
{
	struct words *w = &st->words;
	char	      key[KEY_TEXT], ttl[NUMBER];
	const char   *expire[] = { "EXPIRE", key, ttl };

	key_relay(key, st->conf->prefix, st->conf->relay_name,
	    names[st->program]);
	snprintf(ttl, sizeof(ttl), "%d", STATE_TTL);
	forget_former(st, key);
	w->n = 0;
	w->nnumbers = w->nnames = 0;
	add_text(w, "HSET", key);
	add_text(w, "version", SMTPUSERS_VERSION);
	add_number(w, "pid", getpid());
	add_number(w, "started", st->started);
	add_number(w, "seen", now);
	add_number(w, "redis_timeout", st->conf->redis_timeout);
	add_tallies(w, st->program);
	add_latency(w);
	if (st->each != NULL)
		st->each(st->each_arg, on_field, w);
	servers_send(st->servers, key, NULL, NULL, w->n, w->v);
	servers_send(st->servers, key, NULL, NULL, 3, expire);
}

static void
write_index(struct state *st, time_t now)
{
	char	    key[KEY_TEXT], score[NUMBER], old[NUMBER];
	char	    member[CONF_RELAY_NAME + 16];
	const char *zadd[] = { "ZADD", key, score, member };
	const char *prune[] = { "ZREMRANGEBYSCORE", key, "-inf", old };

	key_relays(key, st->conf->prefix);
	snprintf(score, sizeof(score), "%" PRId64, (int64_t)now);
	snprintf(old, sizeof(old), "%" PRId64,
	    (int64_t)now - STATE_DAYS * 86400);
	snprintf(member, sizeof(member), "%s:%s", names[st->program],
	    st->conf->relay_name);
	servers_send(st->servers, key, NULL, NULL, 4, zadd);
	if (!st->begun)
		st->begun = servers_send(st->servers, key, NULL, NULL, 4,
				prune) != NULL;
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval every = { STATE_EVERY, 0 };
	struct state	    *st = arg;
	const time_t	     now = time(NULL);

	(void)fd;
	(void)what;
	write_hash(st, now);
	write_index(st, now);
	tally_turn();
	event_add(st->timer, &every);
}

struct state *
state_new(struct event_base *base, enum state_program program)
{
	struct state *st;

	if ((st = calloc(1, sizeof(*st))) == NULL)
		return (NULL);
	st->program = program;
	st->started = time(NULL);
	if ((st->timer = evtimer_new(base, on_turn, st)) != NULL)
		return (st);
	free(st);
	return (NULL);
}

void
state_use(struct state *st, struct servers *servers, const struct conf *conf)
{
	const struct timeval first = { FIRST, 0 };

	if (st->servers == NULL)
		event_add(st->timer, &first);
	st->servers = servers;
	st->conf = conf;
}

void
state_add(struct state *st, void (*each)(const void *, state_field_cb, void *),
    const void	       *arg)
{
	st->each = each;
	st->each_arg = arg;
}

void
state_free(struct state *st)
{
	if (st == NULL)
		return;
	event_free(st->timer);
	free(st);
}
