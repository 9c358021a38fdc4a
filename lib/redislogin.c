/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

#include "conf.h"
#include "redislogin.h"
#include "trouble.h"

/*
 * A server that does not know a command repeats its arguments, of which one is
 * the password: what it says is cut off before them.
 */
static bool
succeeds(struct redislogin *login, const redisReply *reply, const char *step)
{
	const char *text = "unexpected reply", *end;
	char	    why[256];
	size_t	    len;

	if (reply == NULL || reply->type == REDIS_REPLY_STATUS)
		return (reply != NULL);
	if (reply->type == REDIS_REPLY_ERROR)
		text = reply->str;
	end = strstr(text, "with args");
	len = end != NULL ? (size_t)(end - text) : strlen(text);
	snprintf(why, sizeof(why), "%s: %.*s", step,
	    (int)(len < 200 ? len : 200), text);
	login->handler->failed(login->arg, why);
	return (false);
}

static void
on_auth(void *arg, const redisReply *reply)
{
	succeeds(arg, reply, "AUTH");
}

static void
on_select(void *arg, const redisReply *reply)
{
	succeeds(arg, reply, "SELECT");
}

/*
 * A server from before functions does not know the command, whatever is
 * permitted and loaded.  It is treated like one that is away.
 */
static void
on_functions(void *arg, const redisReply *reply)
{
	struct redislogin *login = arg;

	if (reply == NULL || reply->type != REDIS_REPLY_ERROR)
		return;
	if (strstr(reply->str, "unknown command") != NULL)
		login->handler->failed(login->arg,
		    "the server is too old: Redis 7, Valkey 8, or newer "
		    "is needed");
	/* Which is said unasked, and then the connection is closed. */
	else if (strstr(reply->str, "max number of clients") != NULL)
		login->handler->failed(login->arg, reply->str);
}

static void
on_info(void *arg, const redisReply *reply)
{
	struct redislogin *login = arg;

	/* A node that is a replica is one of those that may be. */
	if (reply != NULL &&
	    (login->peer != REDISCONN_NODE || login->is_primary))
		trouble_info(login->trouble, reply,
		    login->conf->redis_replicas);
}

/* HELLO's reply is names and values; every ACL user may ask. */
static void
on_hello(void *arg, const redisReply *reply)
{
	struct redislogin *login = arg;
	const redisReply  *value;
	size_t		   i;

	if (reply == NULL)
		return;
	if (reply->type != REDIS_REPLY_ARRAY) {
		succeeds(login, reply, "HELLO");
		return;
	}
	for (i = 0; i + 1 < reply->elements; i += 2) {
		value = reply->element[i + 1];
		if (value->type == REDIS_REPLY_STRING &&
		    strcmp(reply->element[i]->str, "role") == 0)
			login->is_primary = strcmp(value->str, "master") == 0;
	}
}

/* A Sentinel that wants a password says so when it is asked something. */
static void
on_ping(void *arg, const redisReply *reply)
{
	struct redislogin *login = arg;

	if (reply == NULL)
		return;
	if ((login->peer == REDISCONN_SENTINEL &&
		reply->type == REDIS_REPLY_ERROR &&
		strncmp(reply->str, "NOAUTH", 6) == 0) ||
	    succeeds(login, reply, "PING"))
		login->handler->done(login->arg);
}

static bool
send_step(struct redislogin *login, redisconn_cb cb, const char *what, int argc,
    const char **argv)
{
	return (login->handler->send(login->arg, cb, login, what, argc, argv));
}

static bool
show_password(struct redislogin *login)
{
	const struct conf *conf = login->conf;
	const char	  *auth[3] = { "AUTH" };
	int		   n = 1;

	if (conf->redis_password == NULL)
		return (true);
	if (conf->redis_user != NULL)
		auth[n++] = conf->redis_user;
	auth[n++] = conf->redis_password;
	return (send_step(login, on_auth, "AUTH", n, auth));
}

static bool
choose_database(struct redislogin *login)
{
	char	    db[16];
	const char *argv[] = { "SELECT", db };

	if (login->conf->redis_db == 0)
		return (true);
	snprintf(db, sizeof(db), "%d", login->conf->redis_db);
	return (send_step(login, on_select, NULL, 2, argv));
}

/* What is to be known of a server, once. */
static bool
ask_what_it_is(struct redislogin *login)
{
	const char *hello[] = { "HELLO", "2" };
	const char *functions[] = { "FCALL", "smtpusers_version", "0" };
	const char *info[] = { "INFO", "memory", "persistence", "replication" };

	login->is_primary = false;
	return ((login->peer != REDISCONN_NODE ||
		    send_step(login, on_hello, NULL, 2, hello)) &&
	    (login->conf->reader ||
		send_step(login, on_functions, NULL, 3, functions)) &&
	    (login->conf->reader || send_step(login, on_info, NULL, 4, info)));
}

bool
redislogin_begin(struct redislogin *login)
{
	const bool  sentinel = login->peer == REDISCONN_SENTINEL;
	const char *ping = "PING";

	return (show_password(login) && (sentinel || choose_database(login)) &&
	    (sentinel || login->peer == REDISCONN_AGAIN ||
		ask_what_it_is(login)) &&
	    send_step(login, on_ping, NULL, 1, &ping));
}
