/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef PASSWD_H
#define PASSWD_H

struct event_base;
struct passwd_job;
struct passwd_pool;

/*
 * Verifies passwords against crypt(5) hashes in threads of its own, since one
 * verification may take longer than smtpd can be left waiting.
 */

enum passwd_result {
	PASSWD_RIGHT,
	PASSWD_WRONG,
	PASSWD_ERROR /* the hash cannot be computed */
};

typedef void (*passwd_cb)(void *, enum passwd_result);

/* Passwords of as many bytes or more are wrong: crypt(3) does not take them. */
#define PASSWD_MAX 512

/* Verifications under way or waiting, above which no more are taken. */
#define PASSWD_QUEUE 256

/* Starts n threads.  NULL when that fails. */
struct passwd_pool *passwd_pool_new(struct event_base *, int);

/*
 * Waits for what is being computed, calls everybody who still waits back with
 * PASSWD_ERROR, and frees the pool.
 */
void passwd_pool_free(struct passwd_pool *);

/*
 * Verifies a password, both of which are copied, and calls back from the
 * event loop.  NULL, with no callback to come, when the queue is full.
 */
struct passwd_job *passwd_check(struct passwd_pool *, const char *password,
    const char *hash, passwd_cb, void *);

/* Makes the callback of a job under way not come. */
void passwd_cancel(struct passwd_job *);

/* The verification itself, here and now. */
enum passwd_result passwd_verify(const char *password, const char *hash);

#endif /* PASSWD_H */
