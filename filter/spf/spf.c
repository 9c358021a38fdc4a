/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/queue.h>
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
#include "spfturn.h"
#include "spfworkers.h"

#define QUESTIONS_MAX 4096 /* that wait or are asked */
#define OWN_MAX 1024	   /* of them for one user */
#define EARLY_MAX 16	   /* and that nobody waits for yet */
#define BACKOFF_MIN 100	   /* milliseconds */
#define BACKOFF_MAX 5000

/* Somebody who waits for the answer to a question. */
struct spf_question {
	TAILQ_ENTRY(spf_question) entry;
	struct lookup *lookup;
	spf_cb	       cb;
	void	      *arg;
};

/* A domain that is asked about, once for all who want to know. */
struct lookup {
	TAILQ_ENTRY(lookup) entry;
	struct spf *spf;
	TAILQ_HEAD(, spf_question) questions;
	struct event   *deadline;
	struct spfturn *turn; /* of who asked first */
	int		tries;
	bool		waiting; /* for a worker */
	char		domain[DOMAIN_TEXT];
};

struct worker {
	struct spf     *spf;
	size_t		number;
	int		fd; /* -1: none now */
	struct event   *readable;
	struct event   *timer; /* the question's, or the restart's */
	bool		busy;
	struct lookup  *lookup; /* NULL: idle, or nobody waits */
	struct spfturn *turn;	/* of whom it works for; NULL: idle */
	int		backoff;
};

struct spf {
	const struct conf *conf;
	struct event_base *base;
	struct spfcache	  *cache;
	struct spfturns	  *turns;
	struct spf_orders  orders;
	struct spfworkers *processes;
	TAILQ_HEAD(, lookup) lookups; /* in the order asked */
	size_t	      nlookups;
	size_t	      nworkers;
	struct worker workers[SPF_WORKERS_MAX];
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
free_lookup(struct lookup *l)
{
	struct spf_question *q;

	while ((q = TAILQ_FIRST(&l->questions)) != NULL) {
		TAILQ_REMOVE(&l->questions, q, entry);
		free(q);
	}
	TAILQ_REMOVE(&l->spf->lookups, l, entry);
	l->spf->nlookups--;
	if (l->deadline != NULL)
		event_free(l->deadline);
	l->turn->questions--;
	spfturn_leave(l->spf->turns, l->turn);
	free(l);
}

/* Tells everybody who asked, and forgets the question. */
static void
finish(struct lookup *l, const struct spf_answer *answer)
{
	struct spf_question *q;
	struct spf	    *spf = l->spf;
	size_t		     i;

	for (i = 0; i < spf->nworkers; i++)
		if (spf->workers[i].lookup == l)
			spf->workers[i].lookup = NULL;
	spfcache_add(spf->cache, l->domain, answer);
	while ((q = TAILQ_FIRST(&l->questions)) != NULL) {
		TAILQ_REMOVE(&l->questions, q, entry);
		if (q->cb != NULL)
			q->cb(q->arg, answer);
		free(q);
	}
	free_lookup(l);
}

static void
finish_unknown(struct lookup *l)
{
	const struct spf_answer unknown = { .verdict = SPF_VERDICT_UNKNOWN };

	finish(l, &unknown);
}

/* The worker is busy no more, whatever has become of its question. */
static void
release(struct worker *w)
{
	w->busy = false;
	w->lookup = NULL;
	if (w->turn == NULL)
		return;
	spfturn_done(w->spf->turns, w->turn);
	w->turn = NULL;
}

/* Ends a worker, and starts another one after a pause. */
static void
replace_worker(struct worker *w)
{
	struct lookup *l = w->lookup;

	release(w);
	event_del(w->timer);
	if (w->readable != NULL)
		event_free(w->readable);
	w->readable = NULL;
	close(w->fd);
	w->fd = -1;
	spfworkers_stop(w->spf->processes, w->number);
	add_timer(w->timer, w->backoff);
	w->backoff = w->backoff * 2 > BACKOFF_MAX ? BACKOFF_MAX
						  : w->backoff * 2;
	if (l == NULL)
		return;
	if (l->tries < 2) {
		/* Behind the user's others, who may have better answers. */
		TAILQ_REMOVE(&w->spf->lookups, l, entry);
		TAILQ_INSERT_TAIL(&w->spf->lookups, l, entry);
		l->waiting = true;
	} else
		finish_unknown(l);
}

/* An answer names its domain: an old one is none to another question. */
static bool
valid_answer(const struct spf_answer *answer, ssize_t n, const struct lookup *l)
{
	return (n == (ssize_t)sizeof(*answer) &&
	    memchr(answer->domain, '\0', sizeof(answer->domain)) != NULL &&
	    (l == NULL || strcmp(answer->domain, l->domain) == 0) &&
	    (int)answer->verdict >= SPF_VERDICT_OK &&
	    answer->verdict <= SPF_VERDICT_UNKNOWN &&
	    memchr(answer->record, '\0', sizeof(answer->record)) != NULL);
}

static void
on_worker_readable(evutil_socket_t fd, short what, void *arg)
{
	struct worker	 *w = arg;
	struct spf	 *spf = w->spf;
	struct spf_answer answer;
	struct lookup	 *l = w->lookup;
	ssize_t		  n;

	(void)what;
	n = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);
	if (!w->busy || !valid_answer(&answer, n, l)) {
		log_warnx("spf: a worker has ended");
		replace_worker(w);
	} else {
		release(w);
		w->backoff = BACKOFF_MIN;
		event_del(w->timer);
		if (l != NULL)
			finish(l, &answer);
	}
	assign(spf);
}

/* The question's time is over, or the pause before a restart. */
static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	if (w->fd == -1)
		start_worker(w);
	else {
		log_warnx("spf: a worker has not answered in time");
		replace_worker(w);
	}
	assign(w->spf);
}

static void
start_worker(struct worker *w)
{
	struct spf *spf = w->spf;

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

/* One worker is always left to others, where there are several. */
static bool
may_go(const struct spf *spf, const struct lookup *l)
{
	return (l->waiting &&
	    (l->turn->working == 0 || l->turn->working + 1 < spf->nworkers));
}

/* The first question of the user who was served longest ago. */
static struct lookup *
next_waiting(struct spf *spf)
{
	struct lookup *l, *next = NULL;

	TAILQ_FOREACH(l, &spf->lookups, entry)
		if (may_go(spf, l) &&
		    (next == NULL || l->turn->served < next->turn->served))
			next = l;
	return (next);
}

static void
occupy(struct worker *w, struct lookup *l)
{
	l->waiting = false;
	l->tries++;
	w->lookup = l;
	w->busy = true;
	w->turn = l->turn;
	spfturn_serve(w->spf->turns, w->turn);
	add_timer(w->timer, w->spf->conf->spf_timeout);
}

/* Gives waiting questions to idle workers. */
static void
assign(struct spf *spf)
{
	struct worker *w;
	struct lookup *l;
	size_t	       i;

	for (i = 0; i < spf->nworkers; i++) {
		w = &spf->workers[i];
		if (w->fd == -1 || w->busy)
			continue;
		if ((l = next_waiting(spf)) == NULL)
			return;
		if (send(w->fd, l->domain, strlen(l->domain),
			MSG_DONTWAIT | MSG_NOSIGNAL) == -1) {
			replace_worker(w);
			continue;
		}
		occupy(w, l);
	}
}

static void
on_question_late(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	finish_unknown(arg);
}

static struct lookup *
find_lookup(struct spf *spf, const char *domain)
{
	struct lookup *l;

	TAILQ_FOREACH(l, &spf->lookups, entry)
		if (strcmp(l->domain, domain) == 0)
			return (l);
	return (NULL);
}

static struct lookup *
new_lookup(struct spf *spf, struct spfturn *turn, const char *domain)
{
	struct lookup *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return (NULL);
	if ((l->deadline = evtimer_new(spf->base, on_question_late, l)) ==
	    NULL) {
		free(l);
		return (NULL);
	}
	l->spf = spf;
	l->turn = turn;
	turn->questions++;
	l->waiting = true;
	TAILQ_INIT(&l->questions);
	strlcpy(l->domain, domain, sizeof(l->domain));
	TAILQ_INSERT_TAIL(&spf->lookups, l, entry);
	spf->nlookups++;
	add_timer(l->deadline, spf->conf->spf_timeout * 2);
	return (l);
}

/* A question that is new, for a user who has not asked too many. */
static struct lookup *
begin_lookup(struct spf *spf, const char *user, const char *domain, size_t max)
{
	struct spfturn *turn;
	struct lookup  *l = NULL;

	if (spf->nlookups >= QUESTIONS_MAX ||
	    (turn = spfturn_join(spf->turns, user)) == NULL)
		return (NULL);
	if (turn->questions < max)
		l = new_lookup(spf, turn, domain);
	if (l == NULL)
		spfturn_leave(spf->turns, turn);
	return (l);
}

const struct spf_answer *
spf_known(struct spf *spf, const char *domain)
{
	return (spfcache_find(spf->cache, domain));
}

struct spf_question *
spf_ask(struct spf *spf, const char *user, const char *domain, spf_cb cb,
    void *arg)
{
	struct lookup	    *l = find_lookup(spf, domain);
	struct spf_question *q;

	if (l == NULL)
		l = begin_lookup(spf, user, domain,
		    cb != NULL ? OWN_MAX : EARLY_MAX);
	if (l == NULL)
		return (NULL);
	if ((q = calloc(1, sizeof(*q))) == NULL)
		return (NULL);
	q->lookup = l;
	q->cb = cb;
	q->arg = arg;
	TAILQ_INSERT_TAIL(&l->questions, q, entry);
	assign(spf);
	return (q);
}

void
spf_cancel(struct spf_question *q)
{
	q->cb = NULL;
}

/* Hands the workers what they need of the configuration, as A-labels. */
static bool
take_conf(struct spf *spf)
{
	const struct conf *conf = spf->conf;
	struct spf_orders *orders = &spf->orders;
	size_t		   i;

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

static bool
start(struct spf *spf)
{
	struct worker *w;

	if ((spf->cache = spfcache_new()) == NULL ||
	    (spf->turns = spfturns_new()) == NULL || !take_conf(spf))
		return (false);
	while (spf->nworkers < (size_t)spf->conf->spf_workers) {
		w = &spf->workers[spf->nworkers];
		w->number = spf->nworkers++;
		w->fd = -1;
		w->spf = spf;
		w->backoff = BACKOFF_MIN;
		if ((w->timer = evtimer_new(spf->base, on_timer, w)) == NULL)
			return (false);
		start_worker(w);
	}
	return (true);
}

struct spf *
spf_new(struct event_base *base, const struct conf *conf,
    struct spfworkers *processes)
{
	struct spf *spf;

	if ((spf = calloc(1, sizeof(*spf))) == NULL)
		return (NULL);
	spf->conf = conf;
	spf->base = base;
	spf->processes = processes;
	TAILQ_INIT(&spf->lookups);
	if (start(spf))
		return (spf);
	spf_free(spf);
	return (NULL);
}

static void
stop_worker(struct worker *w)
{
	release(w);
	if (w->readable != NULL)
		event_free(w->readable);
	if (w->timer != NULL)
		event_free(w->timer);
	if (w->fd == -1)
		return;
	close(w->fd);
	spfworkers_stop(w->spf->processes, w->number);
}

void
spf_free(struct spf *spf)
{
	struct lookup *l, *next;
	size_t	       i;

	if (spf == NULL)
		return;
	for (i = 0; i < spf->nworkers; i++)
		stop_worker(&spf->workers[i]);
	TAILQ_FOREACH_SAFE(l, &spf->lookups, entry, next)
		free_lookup(l);
	spfcache_free(spf->cache);
	spfturns_free(spf->turns);
	free(spf);
}
