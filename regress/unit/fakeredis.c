/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <bsd/string.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <hiredis/hiredis.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fakeredis.h"
#include "resp.h"

/* What was sent before goes out before the end. */
static void
end_connection(struct fakeredis *fr)
{
	struct evbuffer *out;

	if (fr->bev != NULL) {
		out = bufferevent_get_output(fr->bev);
		evbuffer_unfreeze(out, 1);
		evbuffer_write(out, bufferevent_getfd(fr->bev));
		bufferevent_free(fr->bev);
	}
	if (fr->reader != NULL)
		redisReaderFree(fr->reader);
	fr->bev = NULL;
	fr->reader = NULL;
}

static void
note(struct fakeredis *fr, const redisReply *cmd)
{
	size_t i;

	assert_int_equal(cmd->type, REDIS_REPLY_ARRAY);
	for (i = 0; i < cmd->elements; i++) {
		if (i > 0)
			strlcat(fr->log, " ", sizeof(fr->log));
		strlcat(fr->log, cmd->element[i]->str, sizeof(fr->log));
	}
	strlcat(fr->log, "\n", sizeof(fr->log));
}

/* Of a server that keeps what it is told. */
static const char sound[] = "maxmemory:0\r\nmaxmemory_policy:noeviction\r\n"
			    "aof_enabled:1\r\nrole:master\r\n"
			    "connected_slaves:0\r\n";

static const char *
reply_to(struct fakeredis *fr, const redisReply *cmd)
{
	const char *name = cmd->element[0]->str;

	if (strcmp(name, "AUTH") == 0)
		return (fr->auth != NULL ? fr->auth : "+OK\r\n");
	if (strcmp(name, "SELECT") == 0)
		return (fr->select != NULL ? fr->select : "+OK\r\n");
	if (strcmp(name, "FCALL") == 0 && cmd->elements == 3)
		return (fr->version != NULL ? fr->version : ":2\r\n");
	if (strcmp(name, "INFO") == 0)
		return (fr->info != NULL ? fr->info : resp_string(sound));
	if (strcmp(name, "PING") == 0)
		return (fr->ping != NULL ? fr->ping : "+PONG\r\n");
	if (fr->ncommands < fr->nreplies)
		return (fr->replies[fr->ncommands++]);
	fr->ncommands++;
	return (FAKE_HOLD);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct fakeredis *fr = arg;
	char		  buf[16384];
	const char	 *reply;
	void		 *cmd;
	size_t		  n;

	while ((n = bufferevent_read(bev, buf, sizeof(buf))) > 0)
		assert_int_equal(redisReaderFeed(fr->reader, buf, n), REDIS_OK);
	while (fr->reader != NULL) {
		assert_int_equal(redisReaderGetReply(fr->reader, &cmd),
		    REDIS_OK);
		if (cmd == NULL)
			return;
		note(fr, cmd);
		reply = reply_to(fr, cmd);
		freeReplyObject(cmd);
		if (reply == FAKE_HOLD)
			continue;
		if (strcmp(reply, FAKE_CLOSE) == 0)
			end_connection(fr);
		else
			fakeredis_send(fr, reply, strlen(reply));
	}
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct fakeredis *fr = arg;

	(void)bev;
	if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)))
		return;
	fr->nclosed++;
	end_connection(fr);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *sa, int salen, void *arg)
{
	struct fakeredis *fr = arg;

	(void)listener;
	(void)sa;
	(void)salen;
	end_connection(fr);
	if (fr->naccepted < 16)
		fr->accepted[fr->naccepted] = unit_now();
	fr->naccepted++;
	fr->bev = bufferevent_socket_new(fr->base, fd, BEV_OPT_CLOSE_ON_FREE);
	fr->reader = redisReaderCreate();
	assert_non_null(fr->bev);
	assert_non_null(fr->reader);
	bufferevent_setcb(fr->bev, on_read, NULL, on_event, fr);
	bufferevent_enable(fr->bev, EV_READ | EV_WRITE);
	if (fr->greeting == NULL)
		return;
	if (strcmp(fr->greeting, FAKE_CLOSE) == 0)
		end_connection(fr);
	else
		fakeredis_send(fr, fr->greeting, strlen(fr->greeting));
}

void
fakeredis_init(struct fakeredis *fr, struct event_base *base)
{
	static char prefix[] = "smtp:", redis[] = "unix:fake";

	memset(fr, 0, sizeof(*fr));
	fr->base = base;
	unit_make_dir(fr->dir);
	snprintf(fr->path, sizeof(fr->path), "%s/redis", fr->dir);
	fr->conf.redis = redis;
	fr->conf.places.n = 1;
	fr->conf.places.at[0].transport = REDIS_UNIX;
	strcpy(fr->conf.places.at[0].host, fr->path);
	fr->conf.redis_timeout = UNIT_PATIENCE;
	fr->conf.prefix = prefix;
	fr->conf.quota_period = 86400;
}

void
fakeredis_free(struct fakeredis *fr)
{
	fakeredis_stop(fr);
	rmdir(fr->dir);
}

void
fakeredis_start(struct fakeredis *fr)
{
	struct sockaddr_un sun;

	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", fr->path);
	fr->listener = evconnlistener_new_bind(fr->base, on_accept, fr,
	    LEV_OPT_CLOSE_ON_FREE, 16, (struct sockaddr *)&sun, sizeof(sun));
	assert_non_null(fr->listener);
}

void
fakeredis_stop(struct fakeredis *fr)
{
	end_connection(fr);
	if (fr->listener != NULL)
		evconnlistener_free(fr->listener);
	fr->listener = NULL;
	unlink(fr->path);
}

void
fakeredis_script(struct fakeredis *fr, const char *const *replies, size_t n)
{
	fr->replies = replies;
	fr->nreplies = n;
	fr->ncommands = 0;
	fr->log[0] = '\0';
}

void
fakeredis_send(struct fakeredis *fr, const void *data, size_t len)
{
	assert_non_null(fr->bev);
	assert_int_equal(bufferevent_write(fr->bev, data, len), 0);
}

void
fakeredis_hang_up(struct fakeredis *fr)
{
	end_connection(fr);
}

bool
fakeredis_heard(const struct fakeredis *fr)
{
	int unread;

	if (fr->bev == NULL)
		return (true);
	if (evbuffer_get_length(bufferevent_get_output(fr->bev)) > 0)
		return (false);
	assert_int_equal(ioctl(bufferevent_getfd(fr->bev), SIOCOUTQ, &unread),
	    0);
	return (unread == 0);
}
