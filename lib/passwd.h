/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef PASSWD_H
#define PASSWD_H

#include <stdbool.h>

struct event_base;
struct passwd_job;
struct passwd_pool;

/*
 * Verifies passwords against crypt(5) hashes in threads of its own, since one
 * verification may take longer than smtpd can be left waiting.
 *
 * Somebody who guesses passwords of one name must not delay the users of other
 * names.  So one password of a name is verified at a time, and only a few wait.
 * Names that lately had a wrong password share a thread of low priority, which
 * may verify another of the same name.
 */

enum passwd_result {
	PASSWD_RIGHT,
	PASSWD_WRONG,
	PASSWD_ERROR /* the hash cannot be computed */
};

typedef void (*passwd_cb)(void *, enum passwd_result);

/* A password of this many bytes or more is wrong: crypt(3) refuses it. */
#define PASSWD_MAX 512

/* Room for a hash, with its NUL: what libxcrypt's crypt(3) makes fits. */
#define PASSWD_HASH 384

/*
 * Most verifications under way or waiting; for names that are guessed at, half
 * of that.
 */
#define PASSWD_QUEUE 256

/* How many of them may be of one name. */
#define PASSWD_SHARE 16

/* Seconds for which a name that had a wrong password is remembered. */
#define PASSWD_GUESSED_TTL 3600

/* Most threads besides the one for names that are guessed at. */
#define PASSWD_THREADS 7

/*
 * Starts n threads, at most PASSWD_THREADS, and one for names that are guessed
 * at.  NULL when that fails.
 */
struct passwd_pool *passwd_pool_new(struct event_base *, int);

/*
 * Waits for computations under way, calls the callbacks of all jobs that are
 * left with PASSWD_ERROR, and frees the pool.
 */
void passwd_pool_free(struct passwd_pool *);

/*
 * Verifies a password that a client gave for a name, and calls back from the
 * event loop.  All strings are copied.  NULL, without a callback, when
 * the queue or the name's share of it is full.
 */
struct passwd_job *passwd_check(struct passwd_pool *, const char *name,
    const char *password, const char *hash, passwd_cb, void *);

/* Does a job next although its name is guessed at, since smtpd waits for it. */
void passwd_do_next(struct passwd_job *);

/*
 * Cancels a job: its callback is not called, and it is not begun if it has not
 * been yet.
 */
void passwd_cancel(struct passwd_job *);

/* Whether the name had a wrong password within PASSWD_GUESSED_TTL. */
bool passwd_guessed(const struct passwd_pool *, const char *name);

/* Verifies at once, in the calling thread. */
enum passwd_result passwd_verify(const char *password, const char *hash);

#endif /* PASSWD_H */
