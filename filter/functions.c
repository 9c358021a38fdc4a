/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/queue.h>
#include <sys/types.h>

#include <bsd/string.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "functions.h"
#include "log.h"
#include "monotonic.h"

#define NAME "smtpusers" /* of the library, before its version */
#define HASH_LEN 16
#define NAME_SIZE (sizeof(NAME) + 20 + 1 + HASH_LEN + 1)
#define TRIES 5
#define PAUSE 1		   /* seconds, where they cannot be loaded */
#define UNKNOWN "INVALID " /* what a library says to what it does not know */

/* The text that make has put together, with a NUL behind. */
__asm__(".section .rodata\n"
	".globl smtpusers_lua\n"
	"smtpusers_lua:\n"
	".incbin \"smtpusers.lua\"\n"
	".byte 0\n"
	".previous\n");
extern const char smtpusers_lua[];

/* What the library's name says, smtpusers_NUMBER_HASH. */
struct version {
	long long number; /* -1: no library, or one without a version */
	char	  hash[HASH_LEN + 1];
};

/* The look at one server, until it has ours or a later one. */
struct loading {
	LIST_ENTRY(loading) entry;
	struct functions *fn;
	struct server	 *server;
	int		  nreplies; /* to come */
	int		  tries;    /* left to put ours in place */
};

struct functions {
	struct servers *servers;
	struct version	ours;
	char   why[128]; /* they cannot be loaded; "": they are there */
	bool   vain;	 /* nobody has seen them there since they were loaded */
	time_t looked;	 /* last, because of a reply */
	LIST_HEAD(, loading) loadings;
};

static const char *numbers[] = { "0", "1", "2", "3", "4" };

static void ask_version(struct loading *);

/* Whoever has taken a reply is done with it. */
static void
release_loading(struct loading *l)
{
	if (--l->nreplies > 0)
		return;
	LIST_REMOVE(l, entry);
	free(l);
}

/* Says why they cannot be loaded, once for as long as it stays so. */
static void
complain(struct functions *fn, const char *why)
{
	if (strncmp(fn->why, why, sizeof(fn->why) - 1) == 0)
		return;
	strlcpy(fn->why, why, sizeof(fn->why));
	log_warnx("redis: the functions cannot be loaded: %s", fn->why);
}

/* What the transaction came to: the last of it is the loading. */
static void
judge_loaded(struct functions *fn, const redisReply *reply)
{
	const redisReply *last = NULL;

	if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0)
		last = reply->element[reply->elements - 1];
	if (last != NULL && last->type == REDIS_REPLY_ERROR)
		complain(fn, last->str);
	else
		complain(fn,
		    "they are others all the time: does another client load "
		    "older ones?");
}

/* An error of the whole the log of the connection has. */
static void
on_loaded(void *arg, const redisReply *reply)
{
	struct loading *l = arg;

	if (reply != NULL && reply->type != REDIS_REPLY_ERROR) {
		if (l->tries > 0)
			ask_version(l);
		else
			judge_loaded(l->fn, reply);
	}
	release_loading(l);
}

/* A reply that a later one makes plain. */
static void
on_unread(void *arg, const redisReply *reply)
{
	(void)reply;
	release_loading(arg);
}

static void
send_words(struct loading *l, redisconn_cb cb, const char *one, const char *two,
    const char *three)
{
	const char *argv[] = { one, two, three };

	if (servers_send_to(l->fn->servers, l->server, cb, l,
		two == NULL ? 1 : 3, argv) != NULL)
		l->nreplies++;
}

/*
 * In the place of the version found, if it is still there: otherwise neither
 * is it deleted nor is ours loaded, as the same functions are another's.
 */
static void
replace(struct loading *l, const struct version *found)
{
	char name[NAME_SIZE] = NAME;

	if (found->number >= 0)
		snprintf(name, sizeof(name), NAME "_%lld_%s", found->number,
		    found->hash);
	l->tries--;
	l->fn->vain = true;
	send_words(l, on_unread, "MULTI", NULL, NULL);
	send_words(l, on_unread, "FUNCTION", "DELETE", name);
	send_words(l, on_unread, "FUNCTION", "LOAD", smtpusers_lua);
	send_words(l, on_loaded, "EXEC", NULL, NULL);
}

static struct version
version_of(const redisReply *reply)
{
	struct version found = { .number = -1 };

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    reply->element[0]->type != REDIS_REPLY_INTEGER ||
	    reply->element[1]->type != REDIS_REPLY_STRING ||
	    reply->element[0]->integer < 0 ||
	    strlcpy(found.hash, reply->element[1]->str, sizeof(found.hash)) !=
		HASH_LEN)
		return (found);
	found.number = reply->element[0]->integer;
	return (found);
}

static void
content(struct functions *fn)
{
	fn->why[0] = '\0';
	fn->vain = false;
}

/* A higher number stays; the same with another text does not. */
static void
on_version(void *arg, const redisReply *reply)
{
	struct loading	     *l = arg;
	const struct version *ours = &l->fn->ours;
	struct version	      found;

	if (reply != NULL) {
		found = version_of(reply);
		if (found.number < ours->number ||
		    (found.number == ours->number &&
			strcmp(found.hash, ours->hash) != 0))
			replace(l, &found);
		else
			content(l->fn);
	}
	release_loading(l);
}

static void
ask_version(struct loading *l)
{
	send_words(l, on_version, "FCALL", "smtpusers_version", "0");
}

static struct loading *
begin_loading(struct functions *fn, struct server *server)
{
	struct loading *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return (NULL);
	l->fn = fn;
	l->server = server;
	l->nreplies = 1; /* until the caller has sent what it has to */
	l->tries = TRIES;
	LIST_INSERT_HEAD(&fn->loadings, l, entry);
	return (l);
}

static void
on_connect(void *arg, struct server *server)
{
	struct loading *l;

	if ((l = begin_loading(arg, server)) == NULL)
		return;
	ask_version(l);
	release_loading(l);
}

/* Its first line is #!lua name=smtpusers_NUMBER_HASH. */
static struct version
version_of_text(void)
{
	const char    *number = strchr(smtpusers_lua, '_') + 1;
	struct version ours;
	char	      *end;

	ours.number = strtoll(number, &end, 10);
	strlcpy(ours.hash, end + 1, sizeof(ours.hash));
	return (ours);
}

struct functions *
functions_new(struct servers *servers)
{
	struct functions *fn;

	if ((fn = calloc(1, sizeof(*fn))) == NULL)
		return (NULL);
	fn->servers = servers;
	fn->ours = version_of_text();
	LIST_INIT(&fn->loadings);
	servers_on_connect(servers, on_connect, fn);
	return (fn);
}

void
functions_free(struct functions *fn)
{
	struct loading *l;

	if (fn == NULL)
		return;
	servers_on_connect(fn->servers, NULL, NULL);
	while ((l = LIST_FIRST(&fn->loadings)) != NULL) {
		LIST_REMOVE(l, entry);
		free(l);
	}
	free(fn);
}

int
functions_command(const char *name, int nkeys, int argc, const char **argv,
    const char **out)
{
	int n = 0, k;

	out[n++] = "FCALL";
	out[n++] = name;
	out[n++] = numbers[nkeys];
	for (k = 0; k < argc; k++)
		out[n++] = argv[k];
	return (n);
}

static struct servers_req *
send_call(struct functions *fn, bool commit, redisconn_cb cb, void *arg,
    const char *name, int nkeys, int argc, const char **argv)
{
	const char	  **out;
	struct servers_req *req;
	int		    n;

	out = calloc((size_t)argc + FUNCTIONS_KEY, sizeof(*out));
	if (out == NULL)
		return (NULL);
	n = functions_command(name, nkeys, argc, argv, out);
	req = (commit ? servers_commit : servers_send)(fn->servers,
	    out[FUNCTIONS_KEY], cb, arg, n, out);
	free(out);
	return (req);
}

struct servers_req *
functions_call(struct functions *fn, redisconn_cb cb, void *arg,
    const char *name, int nkeys, int argc, const char **argv)
{
	return (send_call(fn, false, cb, arg, name, nkeys, argc, argv));
}

struct servers_req *
functions_commit(struct functions *fn, redisconn_cb cb, void *arg,
    const char *name, int nkeys, int argc, const char **argv)
{
	return (send_call(fn, true, cb, arg, name, nkeys, argc, argv));
}

static bool
is_loading(const struct functions *fn, const struct server *server)
{
	const struct loading *l;

	LIST_FOREACH(l, &fn->loadings, entry)
		if (l->server == server)
			return (true);
	return (false);
}

/* Each message under way may ask; what cannot be loaded is long. */
static bool
may_look(struct functions *fn)
{
	const time_t now = monotonic_s();

	if (fn->vain && now - fn->looked < PAUSE)
		return (false);
	fn->looked = now;
	return (true);
}

bool
functions_lost(struct functions *fn, const char *key, const redisReply *reply)
{
	struct server  *server;
	struct loading *l;

	if (reply == NULL || reply->type != REDIS_REPLY_ERROR ||
	    strstr(reply->str, "Function not found") == NULL)
		return (false);
	/* One for all who have met this: it comes before their next call. */
	server = servers_of_key(fn->servers, key);
	if (server == NULL || is_loading(fn, server) || !may_look(fn) ||
	    (l = begin_loading(fn, server)) == NULL)
		return (true);
	/* Before the call that is made again; nothing is replaced by it. */
	send_words(l, on_unread, "FUNCTION", "LOAD", smtpusers_lua);
	ask_version(l);
	release_loading(l);
	return (true);
}

static bool
is_current(const struct functions *fn, const redisReply *reply)
{
	const redisReply *last;

	if (reply->type == REDIS_REPLY_ERROR)
		return (strncmp(reply->str, UNKNOWN, strlen(UNKNOWN)) != 0);
	if (reply->type != REDIS_REPLY_ARRAY)
		return (true);
	if (reply->elements == 0)
		return (false);
	last = reply->element[reply->elements - 1];
	return (last->type == REDIS_REPLY_INTEGER &&
	    last->integer >= fn->ours.number);
}

bool
functions_current(struct functions *fn, const char *key,
    const redisReply *reply)
{
	struct server *server;

	if (is_current(fn, reply))
		return (true);
	server = servers_of_key(fn->servers, key);
	if (server != NULL && !is_loading(fn, server) && may_look(fn))
		on_connect(fn, server);
	return (reply->type == REDIS_REPLY_ERROR);
}
