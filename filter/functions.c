/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

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

struct functions {
	struct redisconn *redis;
};

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

	redisconn_send(fn->redis, on_loaded, fn, 4, argv);
}

static void
on_version(void *arg, const redisReply *reply)
{
	struct functions *fn = arg;

	if (reply != NULL &&
	    (reply->type != REDIS_REPLY_INTEGER || reply->integer < VERSION))
		load(fn);
}

static void
on_connect(void *arg)
{
	struct functions *fn = arg;
	const char	 *argv[] = { "FCALL", "smtpusers_version", "0" };

	redisconn_send(fn->redis, on_version, fn, 3, argv);
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

bool
functions_lost(struct functions *fn, const redisReply *reply)
{
	if (reply == NULL || reply->type != REDIS_REPLY_ERROR ||
	    strstr(reply->str, "Function not found") == NULL)
		return (false);
	load(fn);
	return (true);
}
