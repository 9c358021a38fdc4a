/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/queue.h>
#include <sys/types.h>

#include <event2/event.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "conf.h"
#include "filter.h"
#include "functions.h"
#include "log.h"
#include "reload.h"
#include "servers.h"
#include "spf.h"
#include "state.h"
#include "totals.h"
#include "users.h"
#include "writequeue.h"

/*
 * Servers that are asked nothing any more; but questions that are under way are
 * still answered by them.
 */
struct retired {
	LIST_ENTRY(retired) entry;
	struct servers	 *servers;
	struct functions *functions; /* of these, NULL: not in use yet */
	struct event	 *over;
};

struct reload {
	struct filter	 *f;
	const char	 *file;
	struct event	 *hup;
	bool		  again;     /* SIGHUP came meanwhile */
	struct conf	 *conf;	     /* to be in force; NULL: nothing goes on */
	struct servers	 *servers;   /* its own; NULL: the ones in use */
	struct functions *functions; /* of these */
	LIST_HEAD(, retired) retired;
};

static void begin(struct reload *);

void
reload_share(struct filter *f)
{
	users_use(f->users, f->servers, f->conf);
	writequeue_use(f->writequeue, f->servers);
	state_use(f->state, f->servers, f->conf);
	f->quotas.base = f->base;
	f->quotas.conf = f->conf;
	f->quotas.functions = f->functions;
	f->quotas.writequeue = f->writequeue;
	f->alarms.conf = f->conf;
	f->alarms.writequeue = f->writequeue;
	f->failures.conf = f->conf;
	f->failures.functions = f->functions;
	f->reports.conf = f->conf;
	f->reports.servers = f->servers;
	f->reports.writequeue = f->writequeue;
	totals_use(f->totals, f->conf, f->servers, f->functions);
}

static void
free_retired(struct retired *old)
{
	LIST_REMOVE(old, entry);
	functions_free(old->functions);
	servers_free(old->servers);
	if (old->over != NULL)
		event_free(old->over);
	free(old);
}

static void
on_over(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval pause = { 1, 0 };
	struct retired	    *old = arg;

	(void)fd;
	(void)what;
	if (old->servers != NULL && !servers_idle(old->servers))
		event_add(old->over, &pause);
	else
		free_retired(old);
}

/* NULL when memory is short: then nothing has been replaced. */
static struct retired *
new_retired(struct reload *r)
{
	struct timeval	tv = { r->f->conf->redis_timeout / 1000 + 1, 0 };
	struct retired *old = calloc(1, sizeof(*old));

	if (old == NULL)
		return (NULL);
	LIST_INSERT_HEAD(&r->retired, old, entry);
	old->over = evtimer_new(r->f->base, on_over, old);
	if (old->over != NULL && event_add(old->over, &tv) == 0)
		return (old);
	free_retired(old);
	return (NULL);
}

static void
finish(struct reload *r)
{
	r->conf = NULL;
	r->servers = NULL;
	r->functions = NULL;
	if (!r->again)
		return;
	r->again = false;
	begin(r);
}

/*
 * What was begun is retired and not freed: this may be called from within the
 * new servers.
 */
static void
give_up(struct reload *r)
{
	struct retired *old = NULL;

	log_err("%s: the configuration in force stays as it was", r->file);
	if (r->servers != NULL)
		old = new_retired(r);
	if (old != NULL) {
		old->servers = r->servers;
		old->functions = r->functions;
	}
	conf_free(r->conf);
	finish(r);
}

static void
replace_servers(struct reload *r, struct retired *old)
{
	struct filter *f = r->f;

	old->servers = f->servers;
	old->functions = f->functions;
	f->servers = r->servers;
	f->functions = r->functions;
}

/* The workers of before stay, idle, where SPF is asked about no more. */
static bool
replace_spf(struct filter *f, const struct conf *conf)
{
	if (conf->spf == SPF_OFF || conf_same_spf(f->conf, conf))
		return (true);
	if (f->spf != NULL)
		return (spf_use(f->spf, conf));
	f->spf = spf_new(f->base, conf, f->workers);
	return (f->spf != NULL);
}

static void
put_in_force(struct reload *r)
{
	struct filter *f = r->f;

	/* smtpd asks for what it was told at registration. */
	if (f->conf->auth_failures == 0 && r->conf->auth_failures > 0)
		log_warnx("auth_failures was 0: no connection is refused for "
			  "it before smtpd is started again");
	if (f->owners == NULL &&
	    r->conf->alarms[ALARM_FAILURES].action != ALARM_OFF)
		log_warnx("alarm failures: nothing is counted for it before "
			  "smtpd is started again");
	conf_free(f->conf);
	f->conf = r->conf;
	reload_share(f);
	log_info("%s: the configuration has been read again", r->file);
	finish(r);
}

/* Whatever can fail comes before anything is replaced. */
static void
take_over(struct reload *r)
{
	struct retired *old = NULL;

	if ((r->servers != NULL && (old = new_retired(r)) == NULL) ||
	    !replace_spf(r->f, r->conf)) {
		log_err("the new configuration cannot be used: out of memory");
		give_up(r);
		return;
	}
	if (r->servers != NULL)
		replace_servers(r, old);
	put_in_force(r);
}

static void
on_new_ready(void *arg)
{
	struct reload *r = arg;

	if (!servers_ready(r->servers)) {
		log_err("redis: %s: no connection in time", r->conf->redis);
		give_up(r);
	} else if ((r->functions = functions_new(r->servers)) == NULL)
		give_up(r);
	else
		take_over(r);
}

static void
begin(struct reload *r)
{
	struct filter *f = r->f;

	if ((r->conf = conf_load_logged(r->file)) == NULL)
		give_up(r);
	else if (conf_same_redis(f->conf, r->conf))
		take_over(r);
	else if ((r->servers = servers_new(f->base, r->conf)) == NULL)
		give_up(r);
	else
		servers_when_ready(r->servers, on_new_ready, r);
}

static void
on_hup(evutil_socket_t fd, short what, void *arg)
{
	struct reload *r = arg;

	(void)fd;
	(void)what;
	/* Before it is registered, it has just been read. */
	if (!r->f->registered)
		return;
	if (r->conf != NULL)
		r->again = true;
	else
		begin(r);
}

struct reload *
reload_new(struct filter *f, const char *file)
{
	struct reload *r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return (NULL);
	r->f = f;
	r->file = file;
	LIST_INIT(&r->retired);
	r->hup = evsignal_new(f->base, SIGHUP, on_hup, r);
	if (r->hup != NULL && event_add(r->hup, NULL) == 0)
		return (r);
	reload_free(r);
	return (NULL);
}

void
reload_free(struct reload *r)
{
	struct retired *old, *next;

	LIST_FOREACH_SAFE(old, &r->retired, entry, next)
		free_retired(old);
	servers_free(r->servers);
	conf_free(r->conf);
	if (r->hup != NULL)
		event_free(r->hup);
	free(r);
}
