/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/queue.h>
#include <sys/types.h>

#include <bsd/string.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "monotonic.h"
#include "servers.h"
#include "shares.h"
#include "tally.h"
#include "writequeue.h"

#define RETRY_SECONDS 1
#define RETRY_BURST 256 /* entries sent again at a time */

/* From a loss to the word about it, and between two words. */
#define TELL_DELAY 1
#define TELL_PAUSE 60

enum part_state {
	PART_UNSENT,
	PART_SENT,
	PART_DONE,   /* written, or refused for good */
	PART_REFUSED /* for now, or its reply was lost */
};

struct part {
	struct entry	   *entry;
	enum part_state	    state;
	struct servers_req *req; /* PART_SENT */
	struct command	    command;
};

struct entry {
	struct shares_item item; /* first: the item is its entry */
	TAILQ_ENTRY(entry) next;
	struct writequeue   *writequeue;
	enum writequeue_kind kind;
	size_t		     nparts;
	struct part	     parts[WRITEQUEUE_COMMANDS];
	const char	    *argv[]; /* and the strings it points to */
};

struct shelf {
	TAILQ_HEAD(, entry) entries; /* the oldest first */
	struct shares	   *shares;
	writequeue_reply_cb cb; /* NULL: nobody cares for replies */
	void		   *arg;
};

struct writequeue {
	struct servers *servers;
	struct event   *retry;
	struct event   *tell;
	struct shelf	shelves[WRITEQUEUE_KINDS];
	size_t		lost; /* and not told yet */
	time_t		told; /* when last, 0: never */
	char		why[160];
};

static void
tell_lost(struct writequeue *wq)
{
	if (wq->lost > 0)
		log_err("%zu entries of logs, counters or events are lost: %s",
		    wq->lost, wq->why);
	wq->lost = 0;
	wq->told = monotonic_s();
}

static void
on_tell(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	tell_lost(arg);
}

/* An entry is lost, which is told soon, together with those that follow. */
static void
lose(struct writequeue *wq, const char *why)
{
	struct timeval tv = { TELL_DELAY, 0 };

	wq->lost++;
	tally_add(TALLY_WRITES_LOST, 1);
	strlcpy(wq->why, why, sizeof(wq->why));
	if (event_pending(wq->tell, EV_TIMEOUT, NULL))
		return;
	if (wq->told != 0 && monotonic_s() - wq->told < TELL_PAUSE)
		tv.tv_sec = TELL_PAUSE;
	event_add(wq->tell, &tv);
}

static bool
under_way(const struct entry *e)
{
	size_t i;

	for (i = 0; i < e->nparts; i++)
		if (e->parts[i].state == PART_SENT)
			return (true);
	return (false);
}

static void
remove_entry(struct entry *e)
{
	struct shelf *shelf = &e->writequeue->shelves[e->kind];
	size_t	      i;

	TAILQ_REMOVE(&shelf->entries, e, next);
	shares_remove(shelf->shares, &e->item);
	tally_add(TALLY_WRITES_WAITING, -1);
	for (i = 0; i < e->nparts; i++)
		if (e->parts[i].state == PART_SENT)
			servers_cancel(e->parts[i].req);
	free(e);
}

static void
retry_later(struct writequeue *wq)
{
	struct timeval tv = { RETRY_SECONDS, 0 };

	if (!event_pending(wq->retry, EV_TIMEOUT, NULL))
		event_add(wq->retry, &tv);
}

/*
 * What Redis says while it cannot write: it loads, is a replica, is out of
 * memory or of disk, is busy, or the cluster is being changed.  A function that
 * is missing is loaded with the next connection, or by who needs it first.
 * Anything else is said for good.
 */
static bool
refused_for_now(const char *error)
{
	static const char *const states[] = { "LOADING ", "READONLY ",
		"MASTERDOWN ", "OOM ", "MISCONF ", "NOREPLICAS ", "BUSY ",
		"TRYAGAIN ", "CLUSTERDOWN ", "MOVED ", "ASK " };
	size_t			 i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strncmp(error, states[i], strlen(states[i])) == 0)
			return (true);
	return (strstr(error, "Function not found") != NULL);
}

static enum part_state
state_after(const struct part *part, const redisReply *reply)
{
	struct writequeue  *wq = part->entry->writequeue;
	const struct shelf *shelf = &wq->shelves[part->entry->kind];

	if (reply == NULL)
		return (PART_REFUSED);
	if (shelf->cb != NULL && !shelf->cb(shelf->arg, &part->command, reply))
		return (PART_REFUSED);
	if (reply->type != REDIS_REPLY_ERROR)
		return (PART_DONE);
	if (refused_for_now(reply->str))
		return (PART_REFUSED);
	lose(wq, reply->str);
	return (PART_DONE);
}

/* Drops what is all done; the rest is sent again. */
static void
drop_or_retry(struct entry *e)
{
	size_t i;

	for (i = 0; i < e->nparts; i++)
		if (e->parts[i].state != PART_DONE) {
			retry_later(e->writequeue);
			return;
		}
	remove_entry(e);
}

static void
on_written(void *arg, const redisReply *reply)
{
	struct part  *part = arg;
	struct entry *e = part->entry;

	part->state = state_after(part, reply);
	if (!under_way(e))
		drop_or_retry(e);
}

static void
send_part(struct part *part)
{
	const struct command *c = &part->command;

	part->req = servers_send(part->entry->writequeue->servers,
	    c->argv[c->key], on_written, part, c->argc, c->argv);
	part->state = part->req != NULL ? PART_SENT : PART_UNSENT;
}

/* Those behind one that was not written are sent again too, in their order. */
static void
send_entry(struct entry *e)
{
	size_t i = 0;

	while (i < e->nparts && e->parts[i].state == PART_DONE)
		i++;
	for (; i < e->nparts; i++)
		send_part(&e->parts[i]);
	if (!under_way(e))
		retry_later(e->writequeue);
}

/*
 * False when that is enough for now.  What is for a server that is away costs
 * next to nothing, and holds up nothing that is for another.
 */
static bool
resend(struct writequeue *wq, struct shelf *shelf, size_t *n)
{
	struct entry *e;

	TAILQ_FOREACH(e, &shelf->entries, next) {
		if (under_way(e))
			continue;
		if (!servers_ready(wq->servers) || *n == RETRY_BURST)
			return (false);
		send_entry(e);
		*n += under_way(e);
	}
	return (true);
}

static void
on_resend(evutil_socket_t fd, short what, void *arg)
{
	struct writequeue *wq = arg;
	size_t		   i, n = 0;

	(void)fd;
	(void)what;
	for (i = 0; i < WRITEQUEUE_KINDS; i++)
		if (!resend(wq, &wq->shelves[i], &n)) {
			retry_later(wq);
			return;
		}
}

static size_t
text_size(size_t n, const struct command *commands)
{
	size_t i, size = 0;
	int    k;

	for (i = 0; i < n; i++)
		for (k = 0; k < commands[i].argc; k++)
			size += sizeof(char *) + strlen(commands[i].argv[k]) +
			    1;
	return (size);
}

/* Lays the argument vectors out first, then the strings they point to. */
static void
copy_commands(struct entry *e, size_t n, const struct command *commands)
{
	const char **argv = e->argv;
	char	    *text;
	size_t	     i, len, total = 0;
	int	     k;

	for (i = 0; i < n; i++)
		total += (size_t)commands[i].argc;
	text = (char *)(argv + total);
	for (i = 0; i < n; i++) {
		e->parts[i].entry = e;
		e->parts[i].command = commands[i];
		e->parts[i].command.argv = argv;
		for (k = 0; k < commands[i].argc; k++) {
			len = strlen(commands[i].argv[k]) + 1;
			memcpy(text, commands[i].argv[k], len);
			*argv++ = text;
			text += len;
		}
	}
	e->nparts = n;
}

static void
make_room(struct writequeue *wq, struct shelf *shelf, size_t bytes)
{
	struct shares_item *item;

	while (shares_bytes(shelf->shares) + bytes > WRITEQUEUE_MAX &&
	    (item = shares_surplus(shelf->shares)) != NULL) {
		lose(wq, "too many wait for Redis");
		remove_entry((struct entry *)item);
	}
}

void
writequeue_add(struct writequeue *wq, enum writequeue_kind kind,
    const char *user, size_t n, const struct command *commands)
{
	struct shelf *shelf = &wq->shelves[kind];
	struct entry *e;
	size_t	      bytes = sizeof(*e) + text_size(n, commands);

	make_room(wq, shelf, bytes);
	e = calloc(1, bytes);
	if (e == NULL || !shares_add(shelf->shares, user, &e->item, bytes)) {
		lose(wq, "out of memory");
		free(e);
		return;
	}
	e->writequeue = wq;
	e->kind = kind;
	copy_commands(e, n, commands);
	TAILQ_INSERT_TAIL(&shelf->entries, e, next);
	tally_add(TALLY_WRITES_WAITING, 1);
	send_entry(e);
}

struct writequeue *
writequeue_new(struct event_base *base, struct servers *servers)
{
	struct writequeue *wq;
	bool		   whole = true;
	size_t		   i;

	if ((wq = calloc(1, sizeof(*wq))) == NULL)
		return (NULL);
	wq->servers = servers;
	for (i = 0; i < WRITEQUEUE_KINDS; i++) {
		TAILQ_INIT(&wq->shelves[i].entries);
		wq->shelves[i].shares = shares_new();
		whole = whole && wq->shelves[i].shares != NULL;
	}
	wq->retry = evtimer_new(base, on_resend, wq);
	wq->tell = evtimer_new(base, on_tell, wq);
	if (whole && wq->retry != NULL && wq->tell != NULL)
		return (wq);
	writequeue_free(wq);
	return (NULL);
}

static void
clear(struct shelf *shelf)
{
	struct entry *e, *next;

	TAILQ_FOREACH_SAFE(e, &shelf->entries, next, next)
		remove_entry(e);
	shares_free(shelf->shares);
}

void
writequeue_use(struct writequeue *wq, struct servers *servers)
{
	wq->servers = servers;
}

void
writequeue_watch(struct writequeue *wq, enum writequeue_kind kind,
    writequeue_reply_cb cb, void *arg)
{
	wq->shelves[kind].cb = cb;
	wq->shelves[kind].arg = arg;
}

void
writequeue_free(struct writequeue *wq)
{
	size_t i;

	if (wq == NULL)
		return;
	tell_lost(wq);
	for (i = 0; i < WRITEQUEUE_KINDS; i++)
		clear(&wq->shelves[i]);
	if (wq->retry != NULL)
		event_free(wq->retry);
	if (wq->tell != NULL)
		event_free(wq->tell);
	free(wq);
}
