/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/queue.h>
#include <sys/types.h>

#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "journal.h"
#include "log.h"
#include "servers.h"

#define RETRY_SECONDS 1
#define RETRY_BURST 256 /* entries sent again at a time */

struct entry {
	TAILQ_ENTRY(entry) next;
	struct journal	   *journal;
	struct servers_req *reqs[JOURNAL_COMMANDS]; /* under way */
	bool		    again;		    /* one was not written */
	size_t		    bytes;
	size_t		    ncommands;
	struct command	    commands[JOURNAL_COMMANDS];
	const char	   *argv[]; /* and the strings it points to */
};

struct journal {
	struct servers *servers;
	struct event   *retry;
	TAILQ_HEAD(, entry) entries;
	size_t bytes;
};

static bool
under_way(const struct entry *e)
{
	size_t i;

	for (i = 0; i < e->ncommands; i++)
		if (e->reqs[i] != NULL)
			return (true);
	return (false);
}

static void
drop(struct entry *e)
{
	struct journal *j = e->journal;
	size_t		i;

	TAILQ_REMOVE(&j->entries, e, next);
	j->bytes -= e->bytes;
	for (i = 0; i < e->ncommands; i++)
		if (e->reqs[i] != NULL)
			servers_cancel(e->reqs[i]);
	free(e);
}

static void
retry_later(struct journal *j)
{
	struct timeval tv = { RETRY_SECONDS, 0 };

	if (!event_pending(j->retry, EV_TIMEOUT, NULL))
		event_add(j->retry, &tv);
}

/*
 * Redis says no for good to what it does not let us do or does not know, and
 * for the time being otherwise: it loads, is a replica, or is out of memory.
 */
static bool
refused_for_good(const redisReply *reply)
{
	/* It is loaded with the next connection, or by who needs it first. */
	if (strstr(reply->str, "Function not found") != NULL)
		return (false);
	return (strncmp(reply->str, "ERR", 3) == 0 ||
	    strncmp(reply->str, "NOPERM", 6) == 0 ||
	    strncmp(reply->str, "WRONGTYPE", 9) == 0);
}

/* The replies come in the order of the commands. */
static void
on_written(void *arg, const redisReply *reply)
{
	struct entry *e = arg;
	size_t	      i;

	for (i = 0; e->reqs[i] == NULL; i++)
		continue;
	e->reqs[i] = NULL;
	if (reply == NULL)
		e->again = true;
	else if (reply->type == REDIS_REPLY_ERROR) {
		log_once("redis: cannot write the log: %.200s", reply->str);
		if (!refused_for_good(reply))
			e->again = true;
	}
	if (under_way(e))
		return;
	if (e->again)
		retry_later(e->journal);
	else
		drop(e);
}

static void
send_entry(struct entry *e)
{
	const struct command *c;
	size_t		      i;

	e->again = false;
	for (i = 0; i < e->ncommands; i++) {
		c = &e->commands[i];
		e->reqs[i] = servers_send(e->journal->servers, c->argv[c->key],
		    on_written, e, c->argc, c->argv);
		if (e->reqs[i] == NULL)
			e->again = true;
	}
	if (e->again)
		retry_later(e->journal);
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct journal *j = arg;
	struct entry   *e;
	size_t		n = 0;

	(void)fd;
	(void)what;
	TAILQ_FOREACH(e, &j->entries, next) {
		if (under_way(e))
			continue;
		if (!servers_ready(j->servers) || n++ == RETRY_BURST) {
			retry_later(j);
			return;
		}
		send_entry(e);
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
		e->commands[i].argc = commands[i].argc;
		e->commands[i].key = commands[i].key;
		e->commands[i].argv = argv;
		for (k = 0; k < commands[i].argc; k++) {
			len = strlen(commands[i].argv[k]) + 1;
			memcpy(text, commands[i].argv[k], len);
			*argv++ = text;
			text += len;
		}
	}
	e->ncommands = n;
}

static void
make_room(struct journal *j, size_t bytes)
{
	while (j->bytes + bytes > JOURNAL_MAX && !TAILQ_EMPTY(&j->entries)) {
		log_once("entries of the log are lost: redis takes none");
		drop(TAILQ_FIRST(&j->entries));
	}
}

void
journal_write(struct journal *j, size_t n, const struct command *commands)
{
	struct entry *e;
	size_t	      bytes = sizeof(*e) + text_size(n, commands);

	make_room(j, bytes);
	if ((e = calloc(1, bytes)) == NULL) {
		log_once("entries of the log are lost: out of memory");
		return;
	}
	e->journal = j;
	e->bytes = bytes;
	copy_commands(e, n, commands);
	j->bytes += bytes;
	TAILQ_INSERT_TAIL(&j->entries, e, next);
	send_entry(e);
}

struct journal *
journal_new(struct event_base *base, struct servers *servers)
{
	struct journal *j;

	if ((j = calloc(1, sizeof(*j))) == NULL)
		return (NULL);
	j->servers = servers;
	TAILQ_INIT(&j->entries);
	if ((j->retry = evtimer_new(base, on_retry, j)) == NULL) {
		free(j);
		return (NULL);
	}
	return (j);
}

void
journal_use(struct journal *j, struct servers *servers)
{
	j->servers = servers;
}

void
journal_free(struct journal *j)
{
	struct entry *e, *next;

	if (j == NULL)
		return;
	TAILQ_FOREACH_SAFE(e, &j->entries, next, next)
		drop(e);
	event_free(j->retry);
	free(j);
}
