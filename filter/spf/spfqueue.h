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
 * The questions that wait or that a worker has.  Each has its own turn and its
 * own deadline.  A domain that several users ask about is looked up once for
 * all of them, at the first of their turns.
 */

/*
 * A question may take two timeouts of so many milliseconds.  NULL when out of
 * memory.
 */
struct spfqueue *spfqueue_new(struct event_base *, int timeout);

/* Sets the timeout of later questions. */
void spfqueue_set_timeout(struct spfqueue *, int timeout);

/* Frees it, and forgets its questions without a callback. */
void spfqueue_free(struct spfqueue *);

/* Adds a question, see spf_ask(); NULL if too many wait. */
struct spf_query *spfqueue_add(struct spfqueue *, const char *user,
    const char *account, const char *domain, spf_cb, void *);

/* spf_cancel() */
void spfqueue_remove(struct spf_query *);

/* The question to serve next, with so many workers, or NULL. */
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

/* Calls back all who asked about the domain. */
void spfqueue_answer(struct spf_lookup *, const struct spf_answer *);

/*
 * The worker has ended or was too slow.  Each question is tried twice, the
 * second time behind the other questions of its user.
 */
void spfqueue_fail(struct spf_lookup *);

#endif /* SPFQUEUE_H */
