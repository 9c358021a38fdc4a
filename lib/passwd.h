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
 * Who guesses at one name must not keep the owner of another waiting.  So one
 * password of a name is verified at a time and few of them wait; and those of
 * names that have had a wrong one of late have a thread of their own, which
 * yields to all others.
 */

enum passwd_result {
	PASSWD_RIGHT,
	PASSWD_WRONG,
	PASSWD_ERROR /* the hash cannot be computed */
};

typedef void (*passwd_cb)(void *, enum passwd_result);

/* Passwords of as many bytes or more are wrong: crypt(3) does not take them. */
#define PASSWD_MAX 512

/* Room for a hash, with its NUL: what libxcrypt's crypt(3) makes fits. */
#define PASSWD_HASH 384

/*
 * Verifications under way or waiting, above which no more are taken; half of
 * them where the name is guessed at.
 */
#define PASSWD_QUEUE 256

/* How many of them may be of one name. */
#define PASSWD_SHARE 16

/* Seconds for which a name that had a wrong password is remembered. */
#define PASSWD_GUESSED_TTL 3600

/*
 * Starts n threads, and one for names that are guessed at.  NULL when that
 * fails.
 */
struct passwd_pool *passwd_pool_new(struct event_base *, int);

/*
 * Waits for what is being computed, calls everybody who still waits back with
 * PASSWD_ERROR, and frees the pool.
 */
void passwd_pool_free(struct passwd_pool *);

/*
 * Verifies a password that a client gave for a name, and calls back from the
 * event loop.  All strings are copied.  NULL, without a callback, when
 * the queue or the name's share of it is full.
 */
struct passwd_job *passwd_check(struct passwd_pool *, const char *name,
    const char *password, const char *hash, passwd_cb, void *);

/* Has a job done next, though its name is guessed at: smtpd stands still. */
void passwd_do_next(struct passwd_job *);

/*
 * Cancels a job: its callback is not called.  A job that is not under way yet is
 * not done.
 */
void passwd_cancel(struct passwd_job *);

/* Whether the name had a wrong password within PASSWD_GUESSED_TTL. */
bool passwd_guessed(const struct passwd_pool *, const char *name);

/* The verification itself, here and now. */
enum passwd_result passwd_verify(const char *password, const char *hash);

#endif /* PASSWD_H */
