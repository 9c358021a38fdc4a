/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/queue.h>
#include <sys/types.h>
#include <sys/un.h>

#include <bsd/string.h>
#include <errno.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "monotonic.h"
#include "place.h"
#include "redisconn.h"
#include "redisdial.h"
#include "redislogin.h"
#include "redisout.h"
#include "redisread.h"
#include "resolve.h"
#include "slots.h"
#include "stream.h"
#include "tally.h"
#include "trouble.h"

#define CONNECT_MAX 5000  /* milliseconds, for connection, TLS and login */
#define CONNECT_NEXT 1000 /* the same, where there is another address */

struct redisreq {
	STAILQ_ENTRY(redisreq) entry;
	redisconn_cb cb; /* NULL: cancelled, or of no interest */
	void	    *arg;
	int64_t	     sent;  /* microseconds, monotonic */
	bool	     timed; /* how long its reply takes is told */
	char	     what[TROUBLE_REQUEST];
};

STAILQ_HEAD(redisreqs, redisreq);

struct redisconn {
	const struct redisconn_common *common;
	const struct conf	      *conf;
	struct place		       place;
	struct trouble		      *trouble;
	SSL_CTX			      *tls; /* NULL: without */

	struct resolve	 *resolve; /* under way */
	struct redisdial  dial;
	struct redislogin login;

	/* The connection; NULL: none. */
	struct stream	 *stream;
	struct redisread *input;
	struct redisout	  output;
	struct event	 *readable;
	struct event	 *writable;
	bool		  ready;
	bool		  busy;	    /* calling back */
	bool		  doomed;   /* to be freed behind that */
	unsigned int	  turn;	    /* which connection it is */
	struct redisreqs  requests; /* in the order sent */
	struct redisreqs  failing;  /* of a connection that is gone */

	struct event *turned; /* at the end of this turn of the loop */
	struct event *overdue;
	struct event *reconnect;
	struct event *giveup; /* the attempt under way */
	void (*on_connect)(void *, struct redisconn *);
	void	    *on_connect_arg;
	redisconn_cb on_message;
	void	    *on_message_arg;
	int64_t	     timeout; /* milliseconds, one request */
	int64_t	     read;    /* when something came: microseconds, monotonic */
	int64_t	     heard;   /* the same of a reply that is too large: ms */
};

static void
set_timer(struct event *ev, int64_t ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	event_add(ev, &tv);
}

static void
free_event(struct event **ev)
{
	if (*ev != NULL)
		event_free(*ev);
	*ev = NULL;
}

/* Calls back those whose connection is gone, in their order. */
static void
fail_requests(struct redisconn *rc)
{
	struct redisreq *req;
	redisconn_cb	 cb;
	void		*arg;

	while ((req = STAILQ_FIRST(&rc->failing)) != NULL) {
		STAILQ_REMOVE_HEAD(&rc->failing, entry);
		cb = req->cb;
		arg = req->arg;
		if (req->timed)
			tally_add(TALLY_REDIS_UNANSWERED, 1);
		free(req);
		if (cb != NULL)
			cb(arg, REDIS_NO_REPLY);
	}
}

static void
close_stream(struct redisconn *rc)
{
	free_event(&rc->readable);
	free_event(&rc->writable);
	event_del(rc->overdue);
	stream_close(rc->stream);
	rc->stream = NULL;
	redisread_free(rc->input);
	rc->input = NULL;
	redisout_wipe(&rc->output);
	rc->ready = false;
	rc->turn++;
}

/*
 * Goes on with the next address at once, and after the last one from the
 * beginning, after a pause.
 */
static void
connect_later(struct redisconn *rc)
{
	if (redisdial_more(&rc->dial)) {
		set_timer(rc->reconnect, 0);
		return;
	}
	trouble_away(rc->trouble, rc->dial.why);
	set_timer(rc->reconnect, redisdial_pause(&rc->dial));
}

/* Ends the connection, or the attempt to make one. */
static void
drop_connection(struct redisconn *rc, const char *why)
{
	event_del(rc->giveup);
	if (rc->resolve != NULL)
		resolve_cancel(rc->resolve);
	rc->resolve = NULL;
	redisdial_failed(&rc->dial, why);
	close_stream(rc);
	STAILQ_CONCAT(&rc->failing, &rc->requests);
	event_active(rc->turned, EV_WRITE, 0);
	connect_later(rc);
}

static void
on_overdue(evutil_socket_t fd, short what, void *arg)
{
	struct redisconn *rc = arg;
	struct redisreq	 *req = STAILQ_FIRST(&rc->requests);
	int64_t		  left, now = monotonic_ms();

	(void)fd;
	(void)what;
	if (req == NULL)
		return;
	left = req->sent / 1000 + rc->timeout - now;
	if (left <= 0 && redisread_skipping(rc->input))
		left = rc->heard + rc->timeout - now;
	if (left > 0)
		set_timer(rc->overdue, left);
	else
		drop_connection(rc, "no reply in time");
}

/* Writes what is to be sent, as far as it goes. */
static void
flush(struct redisconn *rc)
{
	ssize_t n = redisout_send(&rc->output, rc->stream);

	if (n == STREAM_FAILED)
		drop_connection(rc, stream_error(rc->stream));
	else if (n == STREAM_LATER && stream_wants_write(rc->stream))
		event_add(rc->writable, NULL);
}

static void free_all(struct redisconn *);

/* What has gathered in this turn: replies that will not come, and output. */
static void
on_turned(evutil_socket_t fd, short what, void *arg)
{
	struct redisconn *rc = arg;

	(void)fd;
	(void)what;
	rc->busy = true;
	fail_requests(rc);
	rc->busy = false;
	if (rc->doomed)
		free_all(rc);
	else if (rc->stream != NULL &&
	    !event_pending(rc->writable, EV_WRITE, NULL))
		flush(rc);
}

/* what is the request for the log; NULL where its words may stand there. */
static struct redisreq *
queue_request(struct redisconn *rc, redisconn_cb cb, void *arg,
    const char *what, int argc, const char **argv)
{
	struct redisreq *req;

	if ((req = calloc(1, sizeof(*req))) == NULL)
		return (NULL);
	if (!redisout_add(&rc->output, argc, argv)) {
		free(req);
		return (NULL);
	}
	event_active(rc->turned, EV_WRITE, 0);
	req->cb = cb;
	req->arg = arg;
	req->sent = monotonic_us();
	if (what != NULL)
		strlcpy(req->what, what, sizeof(req->what));
	else
		trouble_request(req->what, argc, argv);
	STAILQ_INSERT_TAIL(&rc->requests, req, entry);
	return (req);
}

struct redisreq *
redisconn_send(struct redisconn *rc, redisconn_cb cb, void *arg, int argc,
    const char **argv)
{
	struct redisreq *req;

	if (!rc->ready)
		return (NULL);
	if ((req = queue_request(rc, cb, arg, NULL, argc, argv)) == NULL)
		return (NULL);
	req->timed = rc->login.peer != REDISCONN_SENTINEL;
	if (!event_pending(rc->overdue, EV_TIMEOUT, NULL))
		set_timer(rc->overdue, rc->timeout);
	return (req);
}

void
redisconn_cancel(struct redisreq *req)
{
	req->cb = NULL;
}

bool
redisconn_ready(const struct redisconn *rc)
{
	return (rc->ready);
}

bool
redisconn_is_primary(const struct redisconn *rc)
{
	return (rc->login.is_primary);
}

void
redisconn_drop(struct redisconn *rc, const char *why)
{
	drop_connection(rc, why);
}

void
redisconn_on_message(struct redisconn *rc, redisconn_cb cb, void *arg)
{
	rc->on_message = cb;
	rc->on_message_arg = arg;
}

void
redisconn_on_connect(struct redisconn *rc,
    void (*cb)(void *, struct redisconn *), void *arg)
{
	rc->on_connect = cb;
	rc->on_connect_arg = arg;
}

static bool
send_login(void *arg, redisconn_cb cb, void *cb_arg, const char *what, int argc,
    const char **argv)
{
	return (queue_request(arg, cb, cb_arg, what, argc, argv) != NULL);
}

static void
on_login(void *arg)
{
	struct redisconn *rc = arg;

	event_del(rc->giveup);
	rc->ready = true;
	redisdial_serves(&rc->dial);
	trouble_back(rc->trouble);
	if (rc->on_connect != NULL)
		rc->on_connect(rc->on_connect_arg, rc);
}

static void
on_login_failed(void *arg, const char *why)
{
	drop_connection(arg, why);
}

static const struct redislogin_handler login_handler = { send_login, on_login,
	on_login_failed };

/* A node of a cluster that tells where to ask is well. */
static bool
is_direction(const struct redisconn *rc, const redisReply *reply)
{
	const enum redirect_kind kind = slots_redirect(reply, &rc->place).kind;

	return (rc->conf->places.topology == REDIS_CLUSTER &&
	    (kind == REDIRECT_MOVED || kind == REDIRECT_ASK ||
		strncmp(reply->str, "TRYAGAIN", 8) == 0));
}

/* Replies come in the order of the requests. */
static void
take_reply(struct redisconn *rc, const redisReply *reply)
{
	struct redisreq *req = STAILQ_FIRST(&rc->requests);
	redisconn_cb	 cb = req->cb;
	void		*arg = req->arg;

	STAILQ_REMOVE_HEAD(&rc->requests, entry);
	if (rc->ready &&
	    (reply->type != REDIS_REPLY_ERROR || !is_direction(rc, reply)))
		trouble_reply(rc->trouble, req->what, reply);
	if (req->timed)
		tally_redis(rc->read - req->sent);
	free(req);
	if (cb != NULL)
		cb(arg, reply);
}

/*
 * Hands out the replies that are there.  A callback may end the connection,
 * and even begin another.  Whatever comes while nothing is asked, a push or a
 * reply too many, shakes the trust in all that follows.
 */
static void
take_replies(struct redisconn *rc)
{
	static const char     unasked[] = "a reply that nothing was asked for";
	const redisReply     *reply;
	enum redisread_status status;
	unsigned int	      turn = rc->turn;

	while ((status = redisread_next(rc->input, &reply)) ==
	    REDISREAD_REPLY) {
		if (!STAILQ_EMPTY(&rc->requests))
			take_reply(rc, reply);
		else if (rc->on_message != NULL)
			rc->on_message(rc->on_message_arg, reply);
		else
			drop_connection(rc, unasked);
		if (turn != rc->turn)
			return;
	}
	if (status == REDISREAD_BROKEN)
		drop_connection(rc, "not the protocol of Redis");
	else if (STAILQ_EMPTY(&rc->requests) && rc->on_message == NULL &&
	    redisread_begun(rc->input))
		drop_connection(rc, unasked);
}

/* False when the connection is gone, or there is no more to be read now. */
static bool
read_once(struct redisconn *rc)
{
	unsigned int turn = rc->turn;
	size_t	     room;
	char	    *buf = redisread_room(rc->input, &room);
	ssize_t	     n;

	if (buf == NULL) {
		drop_connection(rc, "out of memory");
		return (false);
	}
	n = stream_read(rc->stream, buf, room);
	if (n == STREAM_LATER) {
		if (stream_wants_write(rc->stream))
			event_add(rc->writable, NULL);
		return (false);
	}
	if (n <= 0) {
		drop_connection(rc,
		    n == 0 ? "connection closed" : stream_error(rc->stream));
		return (false);
	}
	rc->read = monotonic_us();
	redisread_take(rc->input, (size_t)n);
	take_replies(rc);
	if (turn != rc->turn)
		return (false);
	if (redisread_skipping(rc->input))
		rc->heard = rc->read / 1000;
	return (stream_pending(rc->stream));
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct redisconn *rc = arg;
	unsigned int	  turn = rc->turn;

	(void)fd;
	(void)what;
	rc->busy = true;
	while (read_once(rc))
		continue;
	rc->busy = false;
	if (rc->doomed)
		free_all(rc);
	else if (turn == rc->turn && rc->tls != NULL)
		flush(rc); /* TLS may have waited for what was read */
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct redisconn *rc = arg;
	unsigned int	  turn = rc->turn;

	flush(rc);
	if (turn == rc->turn && rc->tls != NULL)
		on_readable(fd, what, rc);
}

static bool
set_up_stream(struct redisconn *rc)
{
	int fd = stream_fd(rc->stream);

	rc->input = redisread_new();
	rc->readable = event_new(rc->common->base, fd, EV_READ | EV_PERSIST,
	    on_readable, rc);
	rc->writable = event_new(rc->common->base, fd, EV_WRITE, on_writable,
	    rc);
	/* Nothing is written before there is a connection. */
	return (rc->input != NULL && rc->readable != NULL &&
	    rc->writable != NULL && event_add(rc->readable, NULL) == 0 &&
	    event_add(rc->writable, NULL) == 0 && redislogin_begin(&rc->login));
}

static void
connect_next(struct redisconn *rc)
{
	const struct resolve_address *a = redisdial_next(&rc->dial);

	set_timer(rc->giveup,
	    redisdial_more(&rc->dial) ? CONNECT_NEXT : CONNECT_MAX);
	rc->stream = stream_open((const struct sockaddr *)&a->sa, a->len,
	    rc->tls, rc->place.host, &rc->conf->places);
	if (rc->stream == NULL)
		drop_connection(rc, strerror(errno));
	else if (!set_up_stream(rc))
		drop_connection(rc, "out of memory");
}

static void
on_resolved(void *arg, const struct resolve_address *address, size_t n,
    const char *error)
{
	struct redisconn *rc = arg;

	rc->resolve = NULL;
	if (address == NULL) {
		drop_connection(rc, error);
		return;
	}
	redisdial_take(&rc->dial, address, n);
	connect_next(rc);
}

static bool
take_path(struct resolve_address *a, const char *path)
{
	struct sockaddr_un *sun = (struct sockaddr_un *)&a->sa;

	sun->sun_family = AF_UNIX;
	a->len = sizeof(*sun);
	return (strlcpy(sun->sun_path, path, sizeof(sun->sun_path)) <
	    sizeof(sun->sun_path));
}

static void
look_up_host(struct redisconn *rc)
{
	rc->resolve = resolve_start(rc->common->base, rc->place.host,
	    rc->place.port, on_resolved, rc);
	if (rc->resolve == NULL)
		drop_connection(rc, "cannot look up the host");
}

static void
connect_place(struct redisconn *rc)
{
	const struct place    *place = &rc->place;
	struct resolve_address one = { 0 };
	bool		       is_path = place->transport == REDIS_UNIX;

	set_timer(rc->giveup, CONNECT_MAX);
	if (redisdial_more(&rc->dial))
		connect_next(rc);
	else if (is_path && !take_path(&one, place->host))
		drop_connection(rc, "the socket's path is too long");
	else if (!is_path && !resolve_numeric(place->host, place->port, &one))
		look_up_host(rc);
	else {
		redisdial_take(&rc->dial, &one, 1);
		connect_next(rc);
	}
}

static void
on_reconnect(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	connect_place(arg);
}

static void
on_giveup(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	drop_connection(arg, "cannot connect in time");
}

/* How the log calls it: of several servers, by its own place as well. */
static struct trouble *
new_trouble(const struct conf *conf, const struct place *place)
{
	char text[PLACE_TEXT], name[512];

	if (conf->places.topology == REDIS_ONE)
		return (trouble_new(conf->redis));
	snprintf(name, sizeof(name), "%s: %s", conf->redis,
	    place_text(place, text));
	return (trouble_new(name));
}

static bool
init(struct redisconn *rc, enum redisconn_peer peer)
{
	if (rc->place.transport == REDIS_TLS)
		rc->tls = rc->common->tls;
	rc->trouble = new_trouble(rc->conf, &rc->place);
	rc->login = (struct redislogin){ rc->conf, peer, rc->trouble,
		&login_handler, rc, false };
	rc->turned = event_new(rc->common->base, -1, 0, on_turned, rc);
	rc->overdue = evtimer_new(rc->common->base, on_overdue, rc);
	rc->reconnect = evtimer_new(rc->common->base, on_reconnect, rc);
	rc->giveup = evtimer_new(rc->common->base, on_giveup, rc);
	return (rc->trouble != NULL && rc->turned != NULL &&
	    rc->overdue != NULL && rc->reconnect != NULL && rc->giveup != NULL);
}

struct redisconn *
redisconn_new(const struct redisconn_common *common, const struct place *place,
    enum redisconn_peer peer)
{
	struct redisconn *rc;

	if ((rc = calloc(1, sizeof(*rc))) == NULL)
		return (NULL);
	rc->common = common;
	rc->conf = common->conf;
	rc->place = *place;
	rc->timeout = rc->conf->redis_timeout * 95LL / 100;
	STAILQ_INIT(&rc->requests);
	STAILQ_INIT(&rc->failing);
	if (!init(rc, peer)) {
		free_all(rc);
		return (NULL);
	}
	connect_place(rc);
	return (rc);
}

/* Frees those under way without calling them back. */
static void
forget_requests(struct redisconn *rc)
{
	struct redisreq *req;

	STAILQ_CONCAT(&rc->failing, &rc->requests);
	while ((req = STAILQ_FIRST(&rc->failing)) != NULL) {
		STAILQ_REMOVE_HEAD(&rc->failing, entry);
		free(req);
	}
}

static void
free_all(struct redisconn *rc)
{
	forget_requests(rc);
	if (rc->resolve != NULL)
		resolve_cancel(rc->resolve);
	if (rc->stream != NULL)
		close_stream(rc);
	free_event(&rc->turned);
	free_event(&rc->overdue);
	free_event(&rc->reconnect);
	free_event(&rc->giveup);
	trouble_free(rc->trouble);
	free(rc);
}

void
redisconn_free(struct redisconn *rc)
{
	if (rc == NULL)
		return;
	if (!rc->busy) {
		free_all(rc);
		return;
	}
	rc->doomed = true;
	forget_requests(rc);
	if (rc->stream != NULL)
		close_stream(rc);
}
