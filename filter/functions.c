/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "functions.h"
#include "log.h"

#define NAME "smtpusers" /* of the library, before its version */
#define HASH_LEN 16
#define NAME_SIZE (sizeof(NAME) + 20 + 1 + HASH_LEN + 1)
#define TRIES 5

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

struct functions {
	struct redisconn *redis;
	struct version	  ours;
	int		  tries; /* left to put ours in place */
};

static const char *numbers[] = { "0", "1", "2", "3", "4" };

static void ask_version(struct functions *);

static void
on_loaded(void *arg, const redisReply *reply)
{
	struct functions *fn = arg;

	if (reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_ERROR)
		log_warnx("redis: FUNCTION LOAD: %.200s", reply->str);
	else if (fn->tries > 0)
		ask_version(fn);
	else
		log_warnx("redis: the functions are others all the time: does "
			  "another client load older ones?");
}

/* Replies of a transaction that is being made; its end has them all. */
static void
on_queued(void *arg, const redisReply *reply)
{
	(void)arg;
	if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
		log_warnx("redis: FUNCTION: %.200s", reply->str);
}

static void
send_words(struct functions *fn, redisconn_cb cb, const char *one,
    const char *two, const char *three)
{
	const char *argv[] = { one, two, three };

	redisconn_send(fn->redis, cb, fn, two == NULL ? 1 : 3, argv);
}

/*
 * In the place of the version found, if it is still there: otherwise neither
 * is it deleted nor is ours loaded, as the same functions are another's.
 */
static void
replace(struct functions *fn, const struct version *found)
{
	char name[NAME_SIZE] = NAME;

	if (found->number >= 0)
		snprintf(name, sizeof(name), NAME "_%lld_%s", found->number,
		    found->hash);
	fn->tries--;
	send_words(fn, on_queued, "MULTI", NULL, NULL);
	send_words(fn, on_queued, "FUNCTION", "DELETE", name);
	send_words(fn, on_queued, "FUNCTION", "LOAD", smtpusers_lua);
	send_words(fn, on_loaded, "EXEC", NULL, NULL);
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

/* A higher number stays; the same with another text does not. */
static void
on_version(void *arg, const redisReply *reply)
{
	struct functions *fn = arg;
	struct version	  found;

	if (reply == NULL)
		return;
	found = version_of(reply);
	if (found.number < fn->ours.number ||
	    (found.number == fn->ours.number &&
		strcmp(found.hash, fn->ours.hash) != 0))
		replace(fn, &found);
}

static void
ask_version(struct functions *fn)
{
	send_words(fn, on_version, "FCALL", "smtpusers_version", "0");
}

static void
on_connect(void *arg)
{
	struct functions *fn = arg;

	fn->tries = TRIES;
	ask_version(fn);
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
functions_new(struct redisconn *redis)
{
	struct functions *fn;

	if ((fn = calloc(1, sizeof(*fn))) == NULL)
		return (NULL);
	fn->redis = redis;
	fn->tries = TRIES;
	fn->ours = version_of_text();
	redisconn_on_connect(redis, on_connect, fn);
	if (redisconn_ready(redis))
		on_connect(fn);
	return (fn);
}

void
functions_free(struct functions *fn)
{
	if (fn == NULL)
		return;
	redisconn_on_connect(fn->redis, NULL, NULL);
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

struct redisreq *
functions_call(struct functions *fn, redisconn_cb cb, void *arg,
    const char *name, int nkeys, int argc, const char **argv)
{
	const char *out[FUNCTIONS_ARGS];
	int	    n;

	n = functions_command(name, nkeys, argc, argv, out);
	return (redisconn_send(fn->redis, cb, arg, n, out));
}

/* Where there is another version, the question for it goes behind. */
static void
on_lost(void *arg, const redisReply *reply)
{
	(void)arg;
	(void)reply;
}

bool
functions_lost(struct functions *fn, const redisReply *reply)
{
	if (reply == NULL || reply->type != REDIS_REPLY_ERROR ||
	    strstr(reply->str, "Function not found") == NULL)
		return (false);
	/* Before the call that is made again; nothing is replaced by it. */
	send_words(fn, on_lost, "FUNCTION", "LOAD", smtpusers_lua);
	on_connect(fn);
	return (true);
}
