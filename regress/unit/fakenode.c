/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/queue.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "fakenode.h"

struct fakenode_peer {
	LIST_ENTRY(fakenode_peer) entry;
	struct fakenode	   *node;
	struct bufferevent *bev;
	redisReader	   *reader;
	char		    log[16384]; /* commands of this one */
};

/* Once it is in the list no more. */
static void
close_peer(struct fakenode_peer *peer)
{
	peer->node->npeers--;
	bufferevent_free(peer->bev);
	redisReaderFree(peer->reader);
	free(peer);
}

static void
end_peer(struct fakenode_peer *peer)
{
	LIST_REMOVE(peer, entry);
	close_peer(peer);
}

static void
append_line(char *log, size_t size, const char *line)
{
	const size_t len = strlen(log);

	assert_true(len + strlen(line) + 1 < size);
	snprintf(log + len, size - len, "%s\n", line);
}

static const char *
note(struct fakenode_peer *peer, const redisReply *cmd, char line[1024])
{
	size_t i, len = 0;

	for (i = 0; i < cmd->elements && len < 1024; i++)
		len += (size_t)snprintf(line + len, 1024 - len, "%s%s",
		    i > 0 ? " " : "", cmd->element[i]->str);
	append_line(peer->log, sizeof(peer->log), line);
	append_line(peer->node->log, sizeof(peer->node->log), line);
	return (line);
}

static const char *
reply_to(const struct fakenode *node, const char *line)
{
	const char *command;
	size_t	    i;

	for (i = node->nrules; i-- > 0;) {
		command = node->rules[i].command;
		if (strncmp(line, command, strlen(command)) == 0)
			return (node->rules[i].reply);
	}
	return (NODE_HOLD);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct fakenode_peer *peer = arg;
	const char	     *reply;
	char		      buf[4096], line[1024];
	void		     *cmd;
	size_t		      n;

	while ((n = bufferevent_read(bev, buf, sizeof(buf))) > 0)
		assert_int_equal(redisReaderFeed(peer->reader, buf, n),
		    REDIS_OK);
	for (;;) {
		assert_int_equal(redisReaderGetReply(peer->reader, &cmd),
		    REDIS_OK);
		if (cmd == NULL)
			return;
		reply = reply_to(peer->node, note(peer, cmd, line));
		freeReplyObject(cmd);
		if (reply == NODE_HOLD)
			continue;
		if (strcmp(reply, NODE_CLOSE) == 0) {
			end_peer(peer);
			return;
		}
		bufferevent_write(bev, reply, strlen(reply));
	}
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		end_peer(arg);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *sa, int salen, void *arg)
{
	struct fakenode	     *node = arg;
	struct fakenode_peer *peer = calloc(1, sizeof(*peer));

	(void)listener;
	(void)sa;
	(void)salen;
	assert_non_null(peer);
	peer->node = node;
	peer->bev = bufferevent_socket_new(node->base, fd,
	    BEV_OPT_CLOSE_ON_FREE);
	peer->reader = redisReaderCreate();
	LIST_INSERT_HEAD(&node->peers, peer, entry);
	node->npeers++;
	bufferevent_setcb(peer->bev, on_read, NULL, on_event, peer);
	bufferevent_enable(peer->bev, EV_READ | EV_WRITE);
}

void
fakenode_start(struct fakenode *node, struct event_base *base)
{
	struct sockaddr_in sin;
	socklen_t	   len = sizeof(sin);
	evutil_socket_t	   fd;

	memset(node, 0, sizeof(*node));
	node->base = base;
	LIST_INIT(&node->peers);
	memset(&sin, 0, sizeof(sin));
	sin.sin_family = AF_INET;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	node->listener = evconnlistener_new_bind(base, on_accept, node,
	    LEV_OPT_CLOSE_ON_FREE, 16, (struct sockaddr *)&sin, sizeof(sin));
	assert_non_null(node->listener);
	fd = evconnlistener_get_fd(node->listener);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	node->place.transport = REDIS_TCP;
	node->place.port = ntohs(sin.sin_port);
	strcpy(node->place.host, "127.0.0.1");
	fakenode_say(node, "AUTH", "+OK\r\n");
	fakenode_say(node, "HELLO", "*2\r\n$4\r\nrole\r\n$6\r\nmaster\r\n");
	fakenode_say(node, "FCALL smtpusers_version", ":2\r\n");
	fakenode_say(node, "INFO", "$0\r\n\r\n");
	fakenode_say(node, "PING", "+PONG\r\n");
}

void
fakenode_stop(struct fakenode *node)
{
	struct fakenode_peer *peer;

	while ((peer = LIST_FIRST(&node->peers)) != NULL) {
		LIST_REMOVE(peer, entry);
		close_peer(peer);
	}
	if (node->listener != NULL)
		evconnlistener_free(node->listener);
	node->listener = NULL;
}

void
fakenode_say(struct fakenode *node, const char *command, const char *reply)
{
	size_t i;

	for (i = 0; i < node->nrules; i++)
		if (strcmp(node->rules[i].command, command) == 0)
			break;
	assert_true(i < NODE_RULES);
	node->rules[i].command = command;
	node->rules[i].reply = reply;
	if (i == node->nrules)
		node->nrules++;
}

static size_t
count_lines(const char *log, const char *command)
{
	const char *line = log;
	size_t	    n = 0;

	for (; *line != '\0'; line = strchr(line, '\n') + 1)
		if (strncmp(line, command, strlen(command)) == 0)
			n++;
	return (n);
}

size_t
fakenode_heard(const struct fakenode *node, const char *command)
{
	return (count_lines(node->log, command));
}

void
fakenode_send(struct fakenode *node, const char *command, const char *text)
{
	struct fakenode_peer *peer;

	LIST_FOREACH(peer, &node->peers, entry)
		if (count_lines(peer->log, command) > 0)
			bufferevent_write(peer->bev, text, strlen(text));
}
