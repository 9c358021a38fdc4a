/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SPFQUEUE_H
#define SPFQUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "spf.h"

struct event_base;
struct spf_lookup;
struct spfqueue;

/*
 * The questions about domains that wait, or that a worker has.  Each has its
 * own turn and its own time.  A domain that several ask about is looked up once
 * for all of them, when the first of their turns comes.
 */

/* A question may take two timeouts, of so many milliseconds each. */
struct spfqueue *spfqueue_new(struct event_base *, int timeout);

/* The same for questions from now on. */
void spfqueue_set_timeout(struct spfqueue *, int timeout);

/* Forgets the questions. */
void spfqueue_free(struct spfqueue *);

/* spf_ask(): within the bounds, and not yet with a worker. */
struct spf_query *spfqueue_add(struct spfqueue *, const char *user,
    const char *account, const char *domain, spf_cb, void *);

/* spf_cancel() */
void spfqueue_remove(struct spf_query *);

/* Whose turn is next, with so many workers; NULL: nobody's. */
struct spf_query *spfqueue_next(struct spfqueue *, size_t nworkers);

/*
 * A worker begins with the domain of a question.  It ends with
 * spfqueue_answer() or spfqueue_fail(), unless the queue is freed.
 */
struct spf_lookup *spfqueue_begin(struct spf_query *);

/* The domain of a question. */
const char *spfqueue_domain(const struct spf_query *);

/* The domain that is looked up. */
const char *spfqueue_subject(const struct spf_lookup *);

/* Tells everybody who has asked. */
void spfqueue_answer(struct spf_lookup *, const struct spf_answer *);

/*
 * The worker is dead or too slow: each question is tried twice, and behind the
 * others of its user, who may have better answers.
 */
void spfqueue_fail(struct spf_lookup *);

#endif /* SPFQUEUE_H */
