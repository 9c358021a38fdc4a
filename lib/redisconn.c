/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/queue.h>
#include <sys/types.h>

#include <event2/event.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf.h"
#include "log.h"
#include "netaddr.h"
#include "redisconn.h"
#include "redisfmt.h"
#include "resolve.h"

#define BACKOFF_MIN 50 /* milliseconds */
#define BACKOFF_MAX 5000
#define CONNECT_MAX 5000     /* for connection, TLS and login */
#define REPLY_MAX (32 << 20) /* bytes of one reply */
#define ELEMENTS_MAX (1 << 20)

struct redisreq {
	TAILQ_ENTRY(redisreq) entry;
	redisconn_cb cb; /* NULL: cancelled */
	void	    *arg;
	int64_t	     deadline; /* milliseconds, monotonic */
};

struct redisconn {
	const struct conf *conf;
	struct place	   place;
	struct event_base *base;
	struct resolve	  *resolve; /* of the host, under way */
	SSL_CTX		  *tls;
	redisAsyncContext *ac;
	redisContextFuncs  funcs; /* with our own read */
	ssize_t (*read)(redisContext *, char *, size_t);
	size_t reply_bytes;		 /* since the last reply */
	TAILQ_HEAD(, redisreq) requests; /* in the order sent */
	struct event *readable;
	struct event *writable;
	struct event *flush; /* at the end of this turn */
	bool	      flushing;
	struct event *overdue;
	struct event *reconnect;
	struct event *giveup; /* the attempt under way */
	void (*on_connect)(void *, struct redisconn *);
	void   *on_connect_arg;
	int	backoff;
	int64_t timeout; /* milliseconds, one request */
	bool	ready;
	bool	outage_logged;
};

static void start_connect(struct redisconn *);

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (ts.tv_sec * 1000LL + ts.tv_nsec / 1000000);
}

static void
add_timer(struct event *ev, int64_t ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	event_add(ev, &tv);
}

static void
log_outage(struct redisconn *rc, const char *why)
{
	if (!rc->outage_logged)
		log_warnx("redis: %s: %s", rc->conf->redis, why);
	rc->outage_logged = true;
}

/* Once the connection is gone, or an attempt has failed. */
static void
connect_later(struct redisconn *rc)
{
	int64_t ms;

	rc->ready = false;
	event_del(rc->giveup);
	if (event_pending(rc->reconnect, EV_TIMEOUT, NULL))
		return;
	ms = rc->backoff / 2 + arc4random_uniform((uint32_t)rc->backoff);
	rc->backoff = rc->backoff * 2 > BACKOFF_MAX ? BACKOFF_MAX
						    : rc->backoff * 2;
	add_timer(rc->reconnect, ms);
}

/*
 * What hiredis wants to wait for.  Commands are mostly taken by the socket at
 * once, so a connection that is up is written to at the end of the loop's
 * turn, and only what it does not take is waited for.
 */
static void
hook_add_read(void *arg)
{
	struct redisconn *rc = arg;

	event_add(rc->readable, NULL);
}

static void
hook_del_read(void *arg)
{
	struct redisconn *rc = arg;

	event_del(rc->readable);
}

static void
hook_add_write(void *arg)
{
	struct redisconn *rc = arg;

	if (rc->ready && !rc->flushing)
		event_active(rc->flush, EV_WRITE, 0);
	else
		event_add(rc->writable, NULL);
}

static void
hook_del_write(void *arg)
{
	struct redisconn *rc = arg;

	if (event_pending(rc->writable, EV_WRITE, NULL))
		event_del(rc->writable);
}

static void
free_event(struct event **ev)
{
	if (*ev != NULL)
		event_free(*ev);
	*ev = NULL;
}

/* hiredis is done with the socket. */
static void
hook_cleanup(void *arg)
{
	struct redisconn *rc = arg;

	free_event(&rc->readable);
	free_event(&rc->writable);
	free_event(&rc->flush);
}

static void
on_redis_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	redisAsyncHandleRead(arg);
}

static void
on_redis_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	redisAsyncHandleWrite(arg);
}

static void
on_flush(evutil_socket_t fd, short what, void *arg)
{
	redisAsyncContext *ac = arg;
	struct redisconn  *rc = ac->data;

	(void)fd;
	(void)what;
	rc->flushing = true;
	redisAsyncHandleWrite(ac);
	rc->flushing = false;
}

static bool
attach(struct redisconn *rc)
{
	redisAsyncContext *ac = rc->ac;

	rc->readable = event_new(rc->base, ac->c.fd, EV_READ | EV_PERSIST,
	    on_redis_readable, ac);
	rc->writable = event_new(rc->base, ac->c.fd, EV_WRITE | EV_PERSIST,
	    on_redis_writable, ac);
	rc->flush = event_new(rc->base, -1, 0, on_flush, ac);
	if (rc->readable == NULL || rc->writable == NULL || rc->flush == NULL)
		return (false);
	ac->ev.addRead = hook_add_read;
	ac->ev.delRead = hook_del_read;
	ac->ev.addWrite = hook_add_write;
	ac->ev.delWrite = hook_del_write;
	ac->ev.cleanup = hook_cleanup;
	ac->ev.data = rc;
	return (true);
}

/*
 * Ends a connection of our own accord.  Its requests are called back from
 * within, so it is detached before.
 */
static void
drop_connection(struct redisconn *rc, const char *why)
{
	redisAsyncContext *ac = rc->ac;

	log_outage(rc, why);
	if (rc->resolve != NULL)
		resolve_cancel(rc->resolve);
	rc->resolve = NULL;
	rc->ac = NULL;
	connect_later(rc);
	if (ac == NULL)
		return;
	ac->data = NULL;
	redisAsyncFree(ac);
}

static void
on_disconnect(const redisAsyncContext *ac, int status)
{
	struct redisconn *rc = ac->data;

	(void)status;
	if (rc == NULL)
		return;
	log_outage(rc,
	    ac->errstr != NULL && ac->errstr[0] != '\0' ? ac->errstr
							: "connection closed");
	rc->ac = NULL;
	connect_later(rc);
}

static void
on_connected(const redisAsyncContext *ac, int status)
{
	struct redisconn *rc = ac->data;

	if (rc != NULL && status != REDIS_OK)
		on_disconnect(ac, status);
}

/* Every reply comes here: hiredis keeps them in the order of the requests. */
static void
on_reply(redisAsyncContext *ac, void *vreply, void *arg)
{
	struct redisconn *rc = arg;
	struct redisreq	 *req = TAILQ_FIRST(&rc->requests);
	redisconn_cb	  cb;
	void		 *cb_arg;

	rc->reply_bytes = 0;
	if (vreply == NULL)
		rc->ready = false;
	if (req == NULL) {
		if (vreply != NULL && rc->ac == ac)
			drop_connection(rc,
			    "a reply that nothing was asked for");
		return;
	}
	TAILQ_REMOVE(&rc->requests, req, entry);
	cb = req->cb;
	cb_arg = req->arg;
	free(req);
	if (cb != NULL)
		cb(cb_arg, vreply);
}

static void
on_overdue(evutil_socket_t fd, short what, void *arg)
{
	struct redisconn *rc = arg;
	struct redisreq	 *req = TAILQ_FIRST(&rc->requests);
	int64_t		  left;

	(void)fd;
	(void)what;
	if (req == NULL)
		return;
	if ((left = req->deadline - now_ms()) > 0)
		add_timer(rc->overdue, left);
	else
		drop_connection(rc, "no reply in time");
}

static bool
write_command(struct redisconn *rc, int argc, const char **argv)
{
	char   buf[2048], *text;
	size_t len;
	int    status;

	text = redisfmt(argc, argv, buf, sizeof(buf), &len);
	if (text == NULL)
		return (false);
	status = redisAsyncFormattedCommand(rc->ac, on_reply, rc, text, len);
	if (text != buf)
		free(text);
	return (status == REDIS_OK);
}

static struct redisreq *
append(struct redisconn *rc, redisconn_cb cb, void *arg, int64_t timeout,
    int argc, const char **argv)
{
	struct redisreq *req;

	if ((req = calloc(1, sizeof(*req))) == NULL)
		return (NULL);
	if (!write_command(rc, argc, argv)) {
		free(req);
		return (NULL);
	}
	req->cb = cb;
	req->arg = arg;
	req->deadline = now_ms() + timeout;
	TAILQ_INSERT_TAIL(&rc->requests, req, entry);
	return (req);
}

struct redisreq *
redisconn_send(struct redisconn *rc, redisconn_cb cb, void *arg, int argc,
    const char **argv)
{
	struct redisreq *req;

	if (!rc->ready || rc->ac == NULL)
		return (NULL);
	req = append(rc, cb, arg, rc->timeout, argc, argv);
	if (req != NULL && !event_pending(rc->overdue, EV_TIMEOUT, NULL))
		add_timer(rc->overdue, rc->timeout);
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

void
redisconn_on_connect(struct redisconn *rc,
    void (*cb)(void *, struct redisconn *), void *arg)
{
	rc->on_connect = cb;
	rc->on_connect_arg = arg;
}

/*
 * A server that does not know a command repeats its arguments, of which one is
 * the password: what it says is cut off before them.
 */
static void
login_step(struct redisconn *rc, const redisReply *reply, const char *step)
{
	const char *text = "unexpected reply", *end;
	char	    why[256];
	size_t	    len;

	if (reply == NULL || reply->type == REDIS_REPLY_STATUS)
		return;
	if (reply->type == REDIS_REPLY_ERROR)
		text = reply->str;
	end = strstr(text, "with args");
	len = end != NULL ? (size_t)(end - text) : strlen(text);
	snprintf(why, sizeof(why), "%s: %.*s", step,
	    (int)(len < 200 ? len : 200), text);
	drop_connection(rc, why);
}

static void
on_auth(void *arg, const redisReply *reply)
{
	login_step(arg, reply, "AUTH");
}

static void
on_select(void *arg, const redisReply *reply)
{
	login_step(arg, reply, "SELECT");
}

/*
 * A server from before functions does not know the command, whatever is
 * permitted and loaded.  It is treated like one that is away.
 */
static void
on_functions(void *arg, const redisReply *reply)
{
	if (reply != NULL && reply->type == REDIS_REPLY_ERROR &&
	    strstr(reply->str, "unknown command") != NULL)
		drop_connection(arg,
		    "the server is too old: Redis 7 or Valkey 8 is "
		    "needed");
}

static void
on_ping(void *arg, const redisReply *reply)
{
	struct redisconn *rc = arg;

	login_step(rc, reply, "PING");
	if (reply == NULL || rc->ac == NULL)
		return;
	event_del(rc->giveup);
	rc->ready = true;
	rc->backoff = BACKOFF_MIN;
	if (rc->outage_logged)
		log_warnx("redis: %s: connected", rc->conf->redis);
	rc->outage_logged = false;
	if (rc->on_connect != NULL)
		rc->on_connect(rc->on_connect_arg, rc);
}

/* Sent in one go; the replies are judged as they come. */
static int
log_in(struct redisconn *rc)
{
	const struct conf *conf = rc->conf;
	const char	  *auth[3] = { "AUTH" }, *sel[2], *ping = "PING";
	const char	  *functions[] = { "FCALL", "smtpusers_version", "0" };
	char		   db[16];
	int		   n = 1;

	if (conf->redis_user != NULL)
		auth[n++] = conf->redis_user;
	if (conf->redis_password != NULL) {
		auth[n++] = conf->redis_password;
		if (append(rc, on_auth, rc, CONNECT_MAX, n, auth) == NULL)
			return (-1);
	}
	if (conf->redis_db != 0) {
		snprintf(db, sizeof(db), "%d", conf->redis_db);
		sel[0] = "SELECT";
		sel[1] = db;
		if (append(rc, on_select, rc, CONNECT_MAX, 2, sel) == NULL)
			return (-1);
	}
	if (append(rc, on_functions, rc, CONNECT_MAX, 3, functions) == NULL ||
	    append(rc, on_ping, rc, CONNECT_MAX, 1, &ping) == NULL)
		return (-1);
	return (0);
}

/*
 * hiredis asserts that no reply comes unasked.  One callback more than there
 * are requests, for a command of no bytes, leaves that to on_reply().
 */
static int
pad(struct redisconn *rc)
{
	static const char ping[] = "*1\r\n$4\r\nPING\r\n";

	return (redisAsyncFormattedCommand(rc->ac, on_reply, rc, ping, 0) ==
		    REDIS_OK
		? 0
		: -1);
}

/* Bounds what one reply may make us hold. */
static ssize_t
bounded_read(redisContext *c, char *buf, size_t size)
{
	struct redisconn *rc = ((redisAsyncContext *)c)->data;
	ssize_t		  n = rc->read(c, buf, size);

	if (n <= 0)
		return (n);
	rc->reply_bytes += (size_t)n;
	if (rc->reply_bytes <= REPLY_MAX)
		return (n);
	c->err = REDIS_ERR_OTHER;
	snprintf(c->errstr, sizeof(c->errstr), "reply too large");
	return (-1);
}

static void
bound_replies(struct redisconn *rc)
{
	redisContext *c = &rc->ac->c;

	rc->reply_bytes = 0;
	rc->funcs = *c->funcs;
	rc->read = rc->funcs.read;
	rc->funcs.read = bounded_read;
	c->funcs = &rc->funcs;
	c->reader->maxelements = ELEMENTS_MAX;
}

/* The certificate must be good for the host that the operator wrote. */
static int
start_tls(struct redisconn *rc)
{
	const char    *host = rc->place.host;
	struct netaddr na;
	SSL	      *ssl;
	int	       ok;

	if ((ssl = SSL_new(rc->tls)) == NULL)
		return (-1);
	if (netaddr_parse(host, &na))
		ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
	else
		ok = SSL_set_tlsext_host_name(ssl, host) == 1 &&
		    SSL_set1_host(ssl, host);
	if (ok != 1) {
		SSL_free(ssl);
		return (-1);
	}
	if (redisInitiateSSL(&rc->ac->c, ssl) == REDIS_OK)
		return (0); /* and owned by the context */
	SSL_free(ssl);
	return (-1);
}

static int
set_up(struct redisconn *rc)
{
	redisAsyncContext *ac = rc->ac;

	ac->data = rc;
	if (ac->err != 0)
		return (-1);
	if (!attach(rc) ||
	    redisAsyncSetConnectCallback(ac, on_connected) != REDIS_OK ||
	    redisAsyncSetDisconnectCallback(ac, on_disconnect) != REDIS_OK)
		return (-1);
	if (rc->tls != NULL && start_tls(rc) == -1)
		return (-1);
	bound_replies(rc);
	if (pad(rc) == -1)
		return (-1);
	return (log_in(rc));
}

/* host is a socket's path or a numeric address: this does not block. */
static void
connect_to(struct redisconn *rc, const char *host)
{
	redisOptions opts;
	char	     why[160];

	memset(&opts, 0, sizeof(opts));
	if (rc->place.transport == REDIS_UNIX)
		REDIS_OPTIONS_SET_UNIX(&opts, host);
	else
		REDIS_OPTIONS_SET_TCP(&opts, host, rc->place.port);
	rc->ac = redisAsyncConnectWithOptions(&opts);
	if (rc->ac == NULL) {
		drop_connection(rc, "out of memory");
		return;
	}
	if (set_up(rc) == 0)
		return;
	snprintf(why, sizeof(why), "%s",
	    rc->ac->c.errstr[0] != '\0' ? rc->ac->c.errstr
					: "cannot set up the connection");
	drop_connection(rc, why);
}

static void
on_resolved(void *arg, const char *address, const char *error)
{
	struct redisconn *rc = arg;

	rc->resolve = NULL;
	if (address != NULL)
		connect_to(rc, address);
	else
		drop_connection(rc, error);
}

static void
start_connect(struct redisconn *rc)
{
	struct netaddr na;

	add_timer(rc->giveup, CONNECT_MAX);
	if (rc->place.transport == REDIS_UNIX ||
	    netaddr_parse(rc->place.host, &na))
		connect_to(rc, rc->place.host);
	else {
		rc->resolve = resolve_start(rc->base, rc->place.host,
		    on_resolved, rc);
		if (rc->resolve == NULL)
			drop_connection(rc, "cannot look up the host");
	}
}

static void
on_reconnect(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	start_connect(arg);
}

static void
on_giveup(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	drop_connection(arg, "cannot connect in time");
}

static int
load_tls(struct redisconn *rc)
{
	const char *ca = rc->conf->redis_ca;
	int	    ok;

	if (rc->place.transport != REDIS_TLS)
		return (0);
	if ((rc->tls = SSL_CTX_new(TLS_client_method())) == NULL)
		return (-1);
	SSL_CTX_set_verify(rc->tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_min_proto_version(rc->tls, TLS1_2_VERSION);
	SSL_CTX_set_mode(rc->tls,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	ok = ca != NULL ? SSL_CTX_load_verify_locations(rc->tls, ca, NULL)
			: SSL_CTX_set_default_verify_paths(rc->tls);
	if (ok == 1)
		return (0);
	log_warnx("redis_ca: %s: %s", ca != NULL ? ca : "the system's",
	    ERR_reason_error_string(ERR_peek_last_error()));
	return (-1);
}

struct redisconn *
redisconn_new(struct event_base *base, const struct conf *conf,
    const struct place *place)
{
	struct redisconn *rc;

	if ((rc = calloc(1, sizeof(*rc))) == NULL)
		return (NULL);
	rc->conf = conf;
	rc->place = *place;
	rc->base = base;
	rc->backoff = BACKOFF_MIN;
	rc->timeout = conf->redis_timeout * 95LL / 100;
	TAILQ_INIT(&rc->requests);
	rc->overdue = evtimer_new(base, on_overdue, rc);
	rc->reconnect = evtimer_new(base, on_reconnect, rc);
	rc->giveup = evtimer_new(base, on_giveup, rc);
	if (rc->overdue == NULL || rc->reconnect == NULL ||
	    rc->giveup == NULL || load_tls(rc) == -1) {
		redisconn_free(rc);
		return (NULL);
	}
	start_connect(rc);
	return (rc);
}

void
redisconn_free(struct redisconn *rc)
{
	struct redisreq *req;

	if (rc == NULL)
		return;
	TAILQ_FOREACH(req, &rc->requests, entry)
		req->cb = NULL;
	rc->ready = false;
	if (rc->ac != NULL) {
		rc->ac->data = NULL;
		redisAsyncFree(rc->ac);
	}
	while ((req = TAILQ_FIRST(&rc->requests)) != NULL) {
		TAILQ_REMOVE(&rc->requests, req, entry);
		free(req);
	}
	if (rc->resolve != NULL)
		resolve_cancel(rc->resolve);
	hook_cleanup(rc);
	free_event(&rc->overdue);
	free_event(&rc->reconnect);
	free_event(&rc->giveup);
	SSL_CTX_free(rc->tls);
	free(rc);
}
