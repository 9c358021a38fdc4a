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

#define VERSION 3 /* scripts/functions/01-values.lua has it too */

/* The text that make has put together, with a NUL behind. */
__asm__(".section .rodata\n"
	".globl smtpusers_lua\n"
	"smtpusers_lua:\n"
	".incbin \"smtpusers.lua\"\n"
	".byte 0\n"
	".previous\n");
extern const char smtpusers_lua[];

#define SHA_TEXT 41 /* SHA-1 in hexadecimal */

struct functions {
	struct redisconn *redis;
	bool		  eval;		 /* there are no functions */
	char		  sha[SHA_TEXT]; /* of the text as a script, or "" */
};

static const struct {
	const char *name;
	const char *full;
} names[] = { { "check", "smtpusers_check" },
	{ "reserve", "smtpusers_reserve" }, { "keep", "smtpusers_keep" },
	{ "refund", "smtpusers_refund" } };

static const char *numbers[] = { "0", "1", "2", "3", "4" };

static void
on_loaded(void *arg, const redisReply *reply)
{
	(void)arg;
	if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
		log_warnx("redis: FUNCTION LOAD: %.200s", reply->str);
}

static void
load(struct functions *fn)
{
	const char *argv[] = { "FUNCTION", "LOAD", "REPLACE", smtpusers_lua };

	redisconn_send(fn->redis, on_loaded, fn, 4, argv, NULL);
}

/* The text that EVAL runs. */
static const char *
script(void)
{
	return (strchr(smtpusers_lua, '\n') + 1);
}

static void
on_script(void *arg, const redisReply *reply)
{
	struct functions *fn = arg;

	if (reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_STRING && reply->len == SHA_TEXT - 1)
		strlcpy(fn->sha, reply->str, sizeof(fn->sha));
	else
		log_warnx("redis: SCRIPT LOAD: %.200s",
		    reply->type == REDIS_REPLY_ERROR ? reply->str
						     : "unexpected reply");
}

static void
load_script(struct functions *fn)
{
	const char *argv[] = { "SCRIPT", "LOAD", script() };

	redisconn_send(fn->redis, on_script, fn, 3, argv, NULL);
}

static bool
says(const redisReply *reply, const char *what)
{
	return (reply->type == REDIS_REPLY_ERROR &&
	    strstr(reply->str, what) != NULL);
}

static void
on_version(void *arg, const redisReply *reply)
{
	struct functions *fn = arg;

	if (reply == NULL)
		return;
	fn->eval = says(reply, "unknown command");
	if (fn->eval)
		load_script(fn);
	else if (reply->type != REDIS_REPLY_INTEGER || reply->integer < VERSION)
		load(fn);
}

static void
on_connect(void *arg)
{
	struct functions *fn = arg;
	const char	 *argv[] = { "FCALL", "smtpusers_version", "0" };

	redisconn_send(fn->redis, on_version, fn, 3, argv, NULL);
}

struct functions *
functions_new(struct redisconn *redis)
{
	struct functions *fn;

	if ((fn = calloc(1, sizeof(*fn))) == NULL)
		return (NULL);
	fn->redis = redis;
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

/* How it is called where there are no functions, and what with. */
static int
script_command(const struct functions *fn, const char **out)
{
	out[0] = fn->sha[0] != '\0' ? "EVALSHA" : "EVAL";
	out[1] = fn->sha[0] != '\0' ? fn->sha : script();
	return (2);
}

int
functions_command(struct functions *fn, const char *name, int nkeys, int argc,
    const char **argv, const char **out)
{
	size_t i;
	int    n = 0, k;

	for (i = 0; strcmp(names[i].name, name) != 0; i++)
		continue;
	if (fn->eval)
		n = script_command(fn, out);
	else {
		out[n++] = "FCALL";
		out[n++] = names[i].full;
	}
	out[n++] = numbers[nkeys];
	for (k = 0; k < nkeys; k++)
		out[n++] = argv[k];
	if (fn->eval)
		out[n++] = names[i].name;
	for (; k < argc; k++)
		out[n++] = argv[k];
	return (n);
}

struct redisreq *
functions_call(struct functions *fn, redisconn_cb cb, void *arg,
    const char *name, int nkeys, int argc, const char **argv)
{
	const char *out[FUNCTIONS_ARGS];
	int	    n;

	n = functions_command(fn, name, nkeys, argc, argv, out);
	return (redisconn_send(fn->redis, cb, arg, n, out, NULL));
}

bool
functions_lost(struct functions *fn, const redisReply *reply)
{
	if (reply == NULL)
		return (false);
	if (fn->eval && says(reply, "NOSCRIPT"))
		load_script(fn);
	else if (!fn->eval && says(reply, "Function not found"))
		load(fn);
	else
		return (false);
	return (true);
}
