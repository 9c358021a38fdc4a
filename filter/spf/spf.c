/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/socket.h>
#include <sys/types.h>

#include <bsd/string.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conf.h"
#include "log.h"
#include "spf.h"
#include "spfcache.h"
#include "spfqueue.h"
#include "spfworkers.h"
#include "tally.h"

#define BACKOFF_MIN 100 /* milliseconds */
#define BACKOFF_MAX 5000

struct worker {
	struct spf	  *spf;
	size_t		   number;
	int		   fd; /* -1: none now */
	struct event	  *readable;
	struct event	  *timer;    /* the question's, or the restart's */
	struct spf_lookup *lookup;   /* NULL: idle */
	bool		   outdated; /* it has the orders of before */
	int		   backoff;
};

struct spf {
	const struct conf *conf;
	struct event_base *base;
	struct spfcache	  *cache;
	struct spfqueue	  *queue;
	struct spf_orders  orders;
	struct spfworkers *processes;
	size_t		   nworkers; /* that there may be: of spf_workers */
	size_t		   nmade;    /* that there have been */
	struct worker	   workers[SPF_WORKERS_MAX];
};

static void assign(struct spf *);
static void start_worker(struct worker *);

static void
add_timer(struct event *ev, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	event_add(ev, &tv);
}

static void
end_worker(struct worker *w)
{
	event_del(w->timer);
	if (w->readable != NULL)
		event_free(w->readable);
	w->readable = NULL;
	if (w->fd == -1)
		return;
	close(w->fd);
	w->fd = -1;
	spfworkers_stop(w->spf->processes, w->number);
}

/* Ends a worker, and starts another one after a pause. */
static void
replace_worker(struct worker *w)
{
	struct spf_lookup *l = w->lookup;

	w->lookup = NULL;
	end_worker(w);
	add_timer(w->timer, w->backoff);
	w->backoff = w->backoff * 2 > BACKOFF_MAX ? BACKOFF_MAX
						  : w->backoff * 2;
	if (l == NULL)
		return;
	tally_add(TALLY_SPF_FAILURES, 1);
	spfqueue_fail(l);
}

/* One that is idle gets its new orders with its start. */
static void
renew_worker(struct worker *w)
{
	end_worker(w);
	start_worker(w);
}

/* An answer names its domain: an old one is none to another question. */
static bool
valid_answer(const struct spf_answer *answer, ssize_t n,
    const struct spf_lookup *l)
{
	return (n == (ssize_t)sizeof(*answer) &&
	    memchr(answer->domain, '\0', sizeof(answer->domain)) != NULL &&
	    strcmp(spfqueue_subject(l), answer->domain) == 0 &&
	    (int)answer->verdict >= SPF_VERDICT_OK &&
	    answer->verdict <= SPF_VERDICT_UNKNOWN &&
	    memchr(answer->record, '\0', sizeof(answer->record)) != NULL);
}

static const char *
looked_up(const struct spf_lookup *l)
{
	return (l != NULL ? spfqueue_subject(l) : "nothing");
}

static void
on_worker_readable(evutil_socket_t fd, short what, void *arg)
{
	struct worker	  *w = arg;
	struct spf	  *spf = w->spf;
	struct spf_answer  answer;
	struct spf_lookup *l = w->lookup;
	ssize_t		   n;

	(void)what;
	n = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);
	if (l == NULL || !valid_answer(&answer, n, l)) {
		log_warnx(
		    "spf: the worker that looked up %s has ended; another "
		    "one is started",
		    looked_up(l));
		replace_worker(w);
	} else {
		w->lookup = NULL;
		w->backoff = BACKOFF_MIN;
		event_del(w->timer);
		if (w->outdated)
			renew_worker(w);
		else
			spfcache_add(spf->cache, answer.domain, &answer);
		if (answer.verdict == SPF_VERDICT_UNKNOWN)
			tally_add(TALLY_SPF_FAILURES, 1);
		spfqueue_answer(l, &answer);
	}
	assign(spf);
}

/* The question's time is over, or the pause before a restart. */
static void
on_worker_time(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	if (w->fd == -1)
		start_worker(w);
	else {
		log_warnx("spf: the worker that looked up %s did not answer in "
			  "time; another one is started",
		    looked_up(w->lookup));
		replace_worker(w);
	}
	assign(w->spf);
}

static void
start_worker(struct worker *w)
{
	struct spf *spf = w->spf;

	w->outdated = false;
	if (w->number >= spf->nworkers)
		return;
	w->fd = spfworkers_start(spf->processes, w->number,
	    spf->conf->spf_resolver, &spf->orders);
	if (w->fd == -1) {
		add_timer(w->timer, w->backoff);
		return;
	}
	w->readable = event_new(spf->base, w->fd, EV_READ | EV_PERSIST,
	    on_worker_readable, w);
	if (w->readable == NULL || event_add(w->readable, NULL) == -1)
		replace_worker(w);
}

/* Gives waiting questions to idle workers. */
static void
assign(struct spf *spf)
{
	struct worker	 *w;
	struct spf_query *q;
	const char	 *domain;
	size_t		  i;

	for (i = 0; i < spf->nmade; i++) {
		w = &spf->workers[i];
		if (w->fd == -1 || w->lookup != NULL)
			continue;
		if ((q = spfqueue_next(spf->queue, spf->nworkers)) == NULL)
			return;
		domain = spfqueue_domain(q);
		if (send(w->fd, domain, strlen(domain),
			MSG_DONTWAIT | MSG_NOSIGNAL) == -1) {
			replace_worker(w);
			continue;
		}
		tally_add(TALLY_SPF_QUESTIONS, 1);
		w->lookup = spfqueue_begin(q);
		add_timer(w->timer, spf->conf->spf_timeout);
	}
}

const struct spf_answer *
spf_known(struct spf *spf, const char *domain)
{
	return (spfcache_find(spf->cache, domain));
}

struct spf_query *
spf_ask(struct spf *spf, const char *user, const char *account,
    const char *domain, spf_cb cb, void *arg)
{
	struct spf_query *q;

	q = spfqueue_add(spf->queue, user, account, domain, cb, arg);
	if (q != NULL)
		assign(spf);
	return (q);
}

void
spf_cancel(struct spf_query *q)
{
	spfqueue_remove(q);
}

/* What the workers need of the configuration, as A-labels. */
static bool
make_orders(struct spf_orders *orders, const struct conf *conf)
{
	size_t i;

	memset(orders, 0, sizeof(*orders));
	orders->mode = conf->spf;
	orders->timeout = conf->spf_timeout;
	if (conf->nspf_include > CONF_INCLUDES ||
	    conf->nspf_relays > CONF_RELAYS)
		return (false);
	for (i = 0; i < conf->nspf_include; i++)
		if (!domain_underscored(conf->spf_include[i],
			strlen(conf->spf_include[i]), orders->includes[i]))
			return (false);
	orders->nincludes = conf->nspf_include;
	for (i = 0; i < conf->nspf_relays; i++)
		orders->relays[i] = conf->spf_relays[i];
	orders->nrelays = conf->nspf_relays;
	return (true);
}

/* Starts the workers that there have not been yet. */
static bool
make_workers(struct spf *spf)
{
	struct worker *w;

	while (spf->nmade < spf->nworkers) {
		w = &spf->workers[spf->nmade];
		w->number = spf->nmade;
		w->fd = -1;
		w->spf = spf;
		w->backoff = BACKOFF_MIN;
		if ((w->timer = evtimer_new(spf->base, on_worker_time, w)) ==
		    NULL)
			return (false);
		spf->nmade++;
		start_worker(w);
	}
	return (true);
}

bool
spf_use(struct spf *spf, const struct conf *conf)
{
	struct spf_orders orders;
	struct spfcache	 *cache;
	size_t		  i;

	if (!make_orders(&orders, conf) || (cache = spfcache_new()) == NULL)
		return (false);
	spfcache_free(spf->cache);
	conf_free(spf->conf);
	spf->cache = cache;
	spf->conf = conf_ref(conf);
	spf->orders = orders;
	spf->nworkers = (size_t)conf->spf_workers;
	spfqueue_set_timeout(spf->queue, conf->spf_timeout);
	for (i = 0; i < spf->nmade; i++) {
		spf->workers[i].outdated = true;
		if (spf->workers[i].lookup == NULL)
			renew_worker(&spf->workers[i]);
	}
	/* With fewer workers than that it goes, too. */
	make_workers(spf);
	assign(spf);
	return (true);
}

static bool
start(struct spf *spf)
{
	spf->nworkers = (size_t)spf->conf->spf_workers;
	return (make_orders(&spf->orders, spf->conf) &&
	    (spf->cache = spfcache_new()) != NULL &&
	    (spf->queue = spfqueue_new(spf->base, spf->conf->spf_timeout)) !=
		NULL &&
	    make_workers(spf));
}

struct spf *
spf_new(struct event_base *base, const struct conf *conf,
    struct spfworkers *processes)
{
	struct spf *spf;

	if ((spf = calloc(1, sizeof(*spf))) == NULL)
		return (NULL);
	spf->conf = conf_ref(conf);
	spf->base = base;
	spf->processes = processes;
	if (start(spf))
		return (spf);
	spf_free(spf);
	return (NULL);
}

void
spf_free(struct spf *spf)
{
	size_t i;

	if (spf == NULL)
		return;
	for (i = 0; i < spf->nmade; i++) {
		end_worker(&spf->workers[i]);
		event_free(spf->workers[i].timer);
	}
	spfcache_free(spf->cache);
	spfqueue_free(spf->queue);
	conf_free(spf->conf);
	free(spf);
}
