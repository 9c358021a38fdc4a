/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * The first byte is what is asked about a user, thrice; what follows are the
 * replies of a server, each to one command, whatever that was.
 */

#include <sys/un.h>

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <hiredis/hiredis.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "domain.h"
#include "log.h"
#include "redisread.h"
#include "servers.h"
#include "users.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerInitialize(int *, char ***);
int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum {
	ASK_ADDRESS = 1,
	ASK_SOURCE = 2,
	ASK_V6 = 4,
	ASK_NO_SOURCE = 8,
	ASK_DOMAINS = 16
};

static struct event_base  *base;
static struct servers	  *servers;
static struct conf	   conf;
static struct redisReader *commands;
static const uint8_t	  *replies; /* those that are left */
static size_t		   nreplies;
static bool		   logged_in;
static int		   called;
static bool		   answered;

/* How many bytes the next reply has; 0: there is none that is whole. */
static size_t
next_reply(void)
{
	struct redisread	*reader = redisread_new();
	const struct redisReply *reply;
	enum redisread_status	 status = REDISREAD_MORE;
	size_t			 n = 0, room;
	char			*p;

	CHECK(reader != NULL);
	/* A byte at a time shows where it ends. */
	while (status == REDISREAD_MORE && n < nreplies) {
		CHECK((p = redisread_room(reader, &room)) != NULL && room > 0);
		*p = (char)replies[n++];
		redisread_take(reader, 1);
		status = redisread_next(reader, &reply);
	}
	redisread_free(reader);
	return (status == REDISREAD_REPLY ? n : 0);
}

/* Sends the next reply, else an empty array. */
static void
reply_next(struct bufferevent *bev)
{
	size_t n = next_reply();

	if (n > 0)
		bufferevent_write(bev, replies, n);
	else {
		bufferevent_write(bev, "*0\r\n", 4);
		n = nreplies;
	}
	replies += n;
	nreplies -= n;
}

static void
on_command(struct bufferevent *bev, void *arg)
{
	char   buf[4096];
	size_t n;
	void  *command;

	(void)arg;
	while ((n = bufferevent_read(bev, buf, sizeof(buf))) > 0)
		CHECK(redisReaderFeed(commands, buf, n) == REDIS_OK);
	for (;;) {
		CHECK(redisReaderGetReply(commands, &command) == REDIS_OK);
		if (command == NULL)
			return;
		freeReplyObject(command);
		if (logged_in)
			reply_next(bev);
		else
			bufferevent_write(bev, "+OK\r\n", 5);
	}
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *sa, int salen, void *arg)
{
	struct bufferevent *bev;

	(void)listener;
	(void)sa;
	(void)salen;
	(void)arg;
	/* Nothing that is sent must end the connection. */
	CHECK(commands == NULL);
	commands = redisReaderCreate();
	bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	CHECK(commands != NULL && bev != NULL);
	bufferevent_setcb(bev, on_command, NULL, NULL, NULL);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

/* Lines about bad records would bury what the fuzzer itself says. */
static void
silence_log(void)
{
	int saved = dup(STDERR_FILENO);

	CHECK(saved != -1);
	CHECK(freopen("/dev/null", "w", stderr) != NULL);
	log_init("fuzz");
	CHECK(dup2(saved, STDERR_FILENO) != -1);
	close(saved);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char	   dir[] = "/tmp/fuzz.XXXXXXXXXX", prefix[] = "smtp:";
	static char	   redis[] = "unix:fuzz";
	struct sockaddr_un sun;

	(void)argc;
	(void)argv;
	silence_log();
	base = event_base_new();
	CHECK(base != NULL && mkdtemp(dir) != NULL);
	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/redis", dir);
	CHECK(evconnlistener_new_bind(base, on_accept, NULL,
		  LEV_OPT_CLOSE_ON_FREE, 16, (struct sockaddr *)&sun,
		  sizeof(sun)) != NULL);
	conf.redis = redis;
	conf.places.n = 1;
	conf.places.at[0].transport = REDIS_UNIX;
	strcpy(conf.places.at[0].host, sun.sun_path);
	conf.redis_timeout = 600000;
	conf.prefix = prefix;
	servers = servers_new(base, &conf);
	CHECK(servers != NULL);
	while (!servers_ready(servers))
		event_base_loop(base, EVLOOP_ONCE);
	logged_in = true;
	unlink(sun.sun_path);
	rmdir(dir);
	return (0);
}

static void
on_user(void *arg, enum users_found found, const struct user *user)
{
	const struct users_question *q = arg;
	uint32_t		     unasked = ~(uint32_t)0;
	char			     folded[USER_NAME_MAX + 1];

	called++;
	answered = true;
	CHECK((user != NULL) == (found == USER_OK));
	if (user == NULL)
		return;
	CHECK(user_fold_name(user->name, folded));
	CHECK(strcmp(user->name, folded) == 0);
	CHECK(q->name == NULL || strcmp(user->name, q->name) == 0);
	CHECK(q->name != NULL || netaddr_equal(&user->ip_auth, q->address));
	CHECK((user->source == SOURCE_UNASKED) == (q->source == NULL));
	CHECK(user->source != SOURCE_LISTED || q->source->len != 0);
	if (q->domains != NULL)
		unasked <<= q->domains->n;
	CHECK(((user->assigned | user->in_account) & unasked) == 0);
	CHECK(user->account[0] != '\0' ||
	    (!user->pro && user->in_account == 0));
}

static void
ask(struct users *users, uint8_t what)
{
	struct users_question question = { 0 };
	struct netaddr	      address, source = { 0 };
	struct domains	      domains = { 0 };
	int		      before = called;

	netaddr_parse("192.0.2.1", &address);
	if (!(what & ASK_NO_SOURCE))
		netaddr_parse(what & ASK_V6 ? "2001:db8::1" : "192.0.2.1",
		    &source);
	domains_add(&domains, "a.example", NULL, 0);
	domains_add(&domains, "b.example", NULL, 0);
	if (what & ASK_ADDRESS)
		question.address = &address;
	else
		question.name = "alice";
	if (what & ASK_SOURCE)
		question.source = &source;
	if (what & ASK_DOMAINS)
		question.domains = &domains;
	answered = false;
	CHECK(users_ask(users, &question, on_user, &question) != NULL);
	while (!answered)
		CHECK(event_base_loop(base, EVLOOP_ONCE) == 0);
	CHECK(called == before + 1 && servers_ready(servers));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct users *users;
	int	      i;

	if (size == 0)
		return (0);
	users = users_new(servers, &conf);
	CHECK(users != NULL);
	replies = data + 1;
	nreplies = size - 1;
	for (i = 0; i < 3; i++)
		ask(users, data[0]);
	users_free(users);
	return (0);
}
