/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/queue.h>
#include <sys/types.h>

#include <bsd/string.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "spfqueue.h"
#include "spfturn.h"

/* Questions that wait or are asked. */
#define QUESTIONS_MAX 8192
#define ACCOUNT_MAX 2048 /* of them for one account */
#define OWN_MAX 1024	 /* for one user */
#define EARLY_MAX 16	 /* and where nobody waits for the answer yet */
#define TRIES 2

struct spf_query {
	TAILQ_ENTRY(spf_query) entry;
	struct spf_lookup *lookup;
	struct spfturn	  *turn;
	struct event	  *deadline;
	int		   tries;
	spf_cb		   cb; /* NULL: nobody waits yet */
	void		  *arg;
};

struct spf_lookup {
	TAILQ_ENTRY(spf_lookup) entry;
	struct spfqueue *queue;
	struct spfturn	*turn; /* that a worker looks it up in; NULL: waits */
	TAILQ_HEAD(, spf_query) questions;
	char domain[DOMAIN_TEXT];
};

struct spfqueue {
	struct event_base *base;
	struct spfturns	  *turns;
	struct timeval	   patience;
	TAILQ_HEAD(, spf_lookup) lookups; /* in the order asked */
	size_t nquestions;
};

static const struct spf_answer unknown = { .verdict = SPF_VERDICT_UNKNOWN };

static struct spf_lookup *
find_lookup(struct spfqueue *queue, const char *domain)
{
	struct spf_lookup *l;

	TAILQ_FOREACH(l, &queue->lookups, entry)
		if (strcmp(l->domain, domain) == 0)
			return (l);
	return (NULL);
}

static struct spf_lookup *
add_lookup(struct spfqueue *queue, const char *domain)
{
	struct spf_lookup *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return (NULL);
	l->queue = queue;
	TAILQ_INIT(&l->questions);
	strlcpy(l->domain, domain, sizeof(l->domain));
	TAILQ_INSERT_TAIL(&queue->lookups, l, entry);
	return (l);
}

/* A worker may look up what nobody wants to know any more. */
static void
drop_unwanted(struct spf_lookup *l)
{
	if (l->turn != NULL || !TAILQ_EMPTY(&l->questions))
		return;
	TAILQ_REMOVE(&l->queue->lookups, l, entry);
	free(l);
}

static void
free_question(struct spf_lookup *l, struct spf_query *q)
{
	struct spfqueue *queue = l->queue;

	TAILQ_REMOVE(&l->questions, q, entry);
	queue->nquestions--;
	spfturn_leave(queue->turns, q->turn);
	event_free(q->deadline);
	free(q);
}

void
spfqueue_remove(struct spf_query *q)
{
	struct spf_lookup *l = q->lookup;

	free_question(l, q);
	drop_unwanted(l);
}

/* The question is gone by the time that the callback comes. */
static void
answer_question(struct spf_lookup *l, struct spf_query *q,
    const struct spf_answer *answer)
{
	spf_cb cb = q->cb;
	void  *arg = q->arg;

	free_question(l, q);
	if (cb != NULL)
		cb(arg, answer);
}

static void
on_question_late(evutil_socket_t fd, short what, void *arg)
{
	struct spf_query  *q = arg;
	struct spf_lookup *l = q->lookup;
	spf_cb		   cb = q->cb;
	void		  *cb_arg = q->arg;

	(void)fd;
	(void)what;
	free_question(l, q);
	drop_unwanted(l);
	if (cb != NULL)
		cb(cb_arg, &unknown);
}

/* A question of the same user about the same domain, or NULL. */
static struct spf_query *
find_own(const struct spf_lookup *l, const struct spfturn *turn)
{
	struct spf_query *q;

	TAILQ_FOREACH(q, &l->questions, entry)
		if (q->turn == turn)
			return (q);
	return (NULL);
}

static bool
has_room(const struct spfqueue *queue, const struct spfturn *turn, bool early)
{
	return (queue->nquestions < QUESTIONS_MAX &&
	    turn->questions <= (early ? EARLY_MAX : OWN_MAX) &&
	    turn->group->questions <= ACCOUNT_MAX);
}

static struct spf_query *
add_question(struct spf_lookup *l, struct spfturn *turn)
{
	struct spfqueue	 *queue = l->queue;
	struct spf_query *q, *own = find_own(l, turn);

	if ((q = calloc(1, sizeof(*q))) == NULL)
		return (NULL);
	q->deadline = evtimer_new(queue->base, on_question_late, q);
	if (q->deadline == NULL || event_add(q->deadline, &queue->patience)) {
		if (q->deadline != NULL)
			event_free(q->deadline);
		free(q);
		return (NULL);
	}
	q->lookup = l;
	q->turn = turn;
	/* A domain that workers die of costs a user no more of them. */
	q->tries = own != NULL ? own->tries : 0;
	TAILQ_INSERT_TAIL(&l->questions, q, entry);
	queue->nquestions++;
	return (q);
}

/* The turn is joined already. */
static struct spf_query *
ask_in_turn(struct spfqueue *queue, struct spfturn *turn, const char *domain,
    bool early)
{
	struct spf_lookup *l = find_lookup(queue, domain);
	struct spf_query  *q;

	if (!has_room(queue, turn, early) ||
	    (l != NULL && early && find_own(l, turn) != NULL))
		return (NULL);
	if (l == NULL && (l = add_lookup(queue, domain)) == NULL)
		return (NULL);
	if ((q = add_question(l, turn)) == NULL)
		drop_unwanted(l);
	return (q);
}

struct spf_query *
spfqueue_add(struct spfqueue *queue, const char *user, const char *account,
    const char *domain, spf_cb cb, void *arg)
{
	struct spfturn	 *turn;
	struct spf_query *q;

	if ((turn = spfturn_join(queue->turns, user, account)) == NULL)
		return (NULL);
	if ((q = ask_in_turn(queue, turn, domain, cb == NULL)) == NULL) {
		spfturn_leave(queue->turns, turn);
		return (NULL);
	}
	q->cb = cb;
	q->arg = arg;
	return (q);
}

static struct spf_query *
earlier(struct spf_query *a, struct spf_query *b)
{
	return (a == NULL || spfturn_before(b->turn, a->turn) ? b : a);
}

struct spf_query *
spfqueue_next(struct spfqueue *queue, size_t nworkers)
{
	struct spf_lookup *l;
	struct spf_query  *q, *next = NULL;

	TAILQ_FOREACH(l, &queue->lookups, entry) {
		if (l->turn != NULL)
			continue;
		TAILQ_FOREACH(q, &l->questions, entry)
			if (spfturn_may_work(q->turn, nworkers))
				next = earlier(next, q);
	}
	return (next);
}

struct spf_lookup *
spfqueue_begin(struct spf_query *next)
{
	struct spf_lookup *l = next->lookup;
	struct spf_query  *q;

	l->turn = next->turn;
	spfturn_serve(l->queue->turns, l->turn);
	TAILQ_FOREACH(q, &l->questions, entry)
		q->tries++;
	return (l);
}

const char *
spfqueue_domain(const struct spf_query *q)
{
	return (q->lookup->domain);
}

const char *
spfqueue_subject(const struct spf_lookup *l)
{
	return (l->domain);
}

/* Who asks again from a callback asks anew. */
void
spfqueue_answer(struct spf_lookup *l, const struct spf_answer *answer)
{
	struct spf_query *q;

	TAILQ_REMOVE(&l->queue->lookups, l, entry);
	while ((q = TAILQ_FIRST(&l->questions)) != NULL)
		answer_question(l, q, answer); /* NOLINT(clang-analyzer-*) */
	spfturn_done(l->queue->turns, l->turn);
	free(l);
}

/* The analyser does not see that what has been told is in the list no more. */
static struct spf_query *
find_tried(const struct spf_lookup *l)
{
	struct spf_query *q;

	TAILQ_FOREACH(q, &l->questions, entry)
		if (q->tries >= TRIES) /* NOLINT(clang-analyzer-*) */
			return (q);
	return (NULL);
}

void
spfqueue_fail(struct spf_lookup *l)
{
	struct spfqueue	 *queue = l->queue;
	struct spf_query *q;

	while ((q = find_tried(l)) != NULL)
		answer_question(l, q, &unknown);
	spfturn_done(queue->turns, l->turn);
	l->turn = NULL;
	TAILQ_REMOVE(&queue->lookups, l, entry);
	TAILQ_INSERT_TAIL(&queue->lookups, l, entry);
	drop_unwanted(l);
}

void
spfqueue_set_timeout(struct spfqueue *queue, int timeout)
{
	queue->patience.tv_sec = timeout * 2 / 1000;
	queue->patience.tv_usec = timeout * 2 % 1000 * 1000;
}

struct spfqueue *
spfqueue_new(struct event_base *base, int timeout)
{
	struct spfqueue *queue;

	if ((queue = calloc(1, sizeof(*queue))) == NULL)
		return (NULL);
	if ((queue->turns = spfturns_new()) == NULL) {
		free(queue);
		return (NULL);
	}
	queue->base = base;
	spfqueue_set_timeout(queue, timeout);
	TAILQ_INIT(&queue->lookups);
	return (queue);
}

void
spfqueue_free(struct spfqueue *queue)
{
	struct spf_lookup *l;
	struct spf_query  *q;

	if (queue == NULL)
		return;
	while ((l = TAILQ_FIRST(&queue->lookups)) != NULL) {
		TAILQ_REMOVE(&queue->lookups, l, entry);
		while ((q = TAILQ_FIRST(&l->questions)) != NULL)
			free_question(l, q); /* NOLINT(clang-analyzer-*) */
		if (l->turn != NULL)
			spfturn_done(queue->turns, l->turn);
		free(l);
	}
	spfturns_free(queue->turns);
	free(queue);
}
