/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef CHARGES_H
#define CHARGES_H

struct quotas;

/*
 * Takes what the functions answer to charges that the queue writes, with
 * nobody waiting: what is to be told is told, what cannot be read is logged, and
 * what older functions have answered is asked for again, since they may not
 * have counted it.  The quotas stay, and so does their queue.
 */
void charges_watch(struct quotas *);

#endif /* CHARGES_H */
