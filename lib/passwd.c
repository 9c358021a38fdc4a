/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/queue.h>
#include <sys/types.h>

#include <bsd/string.h>
#include <crypt.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "passwd.h"
#include "recent.h"
#include "self.h"
#include "wake.h"

#define GUESSED_SIZE 16384
#define GUESSED_NICE 10

struct passwd_job {
	TAILQ_ENTRY(passwd_job) entry; /* in one of the pool's lists */
	LIST_ENTRY(passwd_job) same;   /* the loop's own */
	struct passwd_pool *pool;
	passwd_cb	    cb; /* NULL: cancelled */
	void		   *arg;
	enum passwd_result  result;
	bool		    guessed;
	bool		    waiting; /* guarded by the lock */
	uint8_t		    name[DIGEST_LEN];
	char		    password[PASSWD_MAX + 1];
	char		    hash[PASSWD_HASH];
};

TAILQ_HEAD(jobs, passwd_job);

struct passwd_pool {
	pthread_mutex_t lock; /* guards the lists of jobs and stopping */
	pthread_cond_t	work;
	struct jobs	waiting[2]; /* [1]: of names that are guessed at */
	struct jobs	running;
	struct jobs	done;
	bool		stopping;
	pthread_t	threads[PASSWD_THREADS + 1];
	int		nthreads;
	LIST_HEAD(, passwd_job) jobs; /* all: the loop's own */
	struct recent *guessed;	      /* names, the loop's own */
	int	       njobs;	      /* the same */
	struct wake   *wake;	      /* some job is done */
};

enum passwd_result
passwd_verify(const char *password, const char *hash)
{
	struct crypt_data *data;
	const char	  *out;
	enum passwd_result result = PASSWD_WRONG;
	size_t		   len = strlen(hash);

	if (strlen(password) >= PASSWD_MAX)
		return (PASSWD_WRONG);
	if ((data = calloc(1, sizeof(*data))) == NULL)
		return (PASSWD_ERROR);
	out = crypt_r(password, hash, data);
	if (out == NULL || out[0] == '*')
		result = PASSWD_ERROR;
	else if (strlen(out) == len && CRYPTO_memcmp(out, hash, len) == 0)
		result = PASSWD_RIGHT;
	freezero(data, sizeof(*data));
	return (result);
}

/*
 * The first of a list whose name has nothing under way from this list: what
 * the thread that yields does is nothing to wait for.
 */
static struct passwd_job *
first_free(struct passwd_pool *pool, struct jobs *jobs)
{
	struct passwd_job *job, *other;

	TAILQ_FOREACH(job, jobs, entry) {
		TAILQ_FOREACH(other, &pool->running, entry)
			if (other->guessed == job->guessed &&
			    memcmp(other->name, job->name, DIGEST_LEN) == 0)
				break;
		if (other == NULL)
			return (job);
	}
	return (NULL);
}

static struct passwd_job *
next_job(struct passwd_pool *pool, bool guessed)
{
	struct jobs	  *jobs = &pool->waiting[guessed];
	struct passwd_job *job = NULL;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stopping && (job = first_free(pool, jobs)) == NULL)
		pthread_cond_wait(&pool->work, &pool->lock);
	if (pool->stopping)
		job = NULL;
	if (job != NULL) {
		TAILQ_REMOVE(jobs, job, entry);
		TAILQ_INSERT_TAIL(&pool->running, job, entry);
		job->waiting = false;
	}
	pthread_mutex_unlock(&pool->lock);
	return (job);
}

static void
work_on(struct passwd_pool *pool, bool guessed)
{
	struct passwd_job *job;

	while ((job = next_job(pool, guessed)) != NULL) {
		job->result = passwd_verify(job->password, job->hash);
		pthread_mutex_lock(&pool->lock);
		TAILQ_REMOVE(&pool->running, job, entry);
		TAILQ_INSERT_TAIL(&pool->done, job, entry);
		/* What waits for this name may be another thread's. */
		pthread_cond_broadcast(&pool->work);
		pthread_mutex_unlock(&pool->lock);
		wake_up(pool->wake);
	}
}

static void *
work(void *pool)
{
	work_on(pool, false);
	return (NULL);
}

static void *
work_on_guessed(void *pool)
{
	/* Where that is not to be had, it works all the same. */
	(void)self_thread_nice(GUESSED_NICE);
	work_on(pool, true);
	return (NULL);
}

/* Forgets a job that is in none of the pool's lists any more. */
static void
free_job(struct passwd_job *job)
{
	LIST_REMOVE(job, same);
	job->pool->njobs--;
	freezero(job, sizeof(*job));
}

static void
on_woken(void *arg)
{
	struct passwd_pool *pool = arg;
	struct passwd_job  *job;
	struct jobs	    done;

	TAILQ_INIT(&done);
	pthread_mutex_lock(&pool->lock);
	TAILQ_CONCAT(&done, &pool->done, entry);
	pthread_mutex_unlock(&pool->lock);
	while ((job = TAILQ_FIRST(&done)) != NULL) {
		TAILQ_REMOVE(&done, job, entry);
		if (job->result == PASSWD_WRONG)
			recent_add(pool->guessed, job->name);
		if (job->cb != NULL)
			job->cb(job->arg, job->result);
		free_job(job);
	}
}

static void
digest_name(uint8_t digest[DIGEST_LEN], const char *name)
{
	digest_strings(digest, 1, &name);
}

bool
passwd_guessed(const struct passwd_pool *pool, const char *name)
{
	uint8_t digest[DIGEST_LEN];

	digest_name(digest, name);
	return (recent_has(pool->guessed, digest));
}

/*
 * Whether there is room for one more of this name.  Those that are guessed at
 * leave half of it to the others.
 */
static bool
has_room(const struct passwd_pool *pool, const uint8_t name[DIGEST_LEN],
    bool guessed)
{
	const struct passwd_job *job;
	int			 same = 0, guesses = 0;

	LIST_FOREACH(job, &pool->jobs, same) {
		same += memcmp(job->name, name, DIGEST_LEN) == 0;
		guesses += job->guessed;
	}
	return (pool->njobs < PASSWD_QUEUE && same < PASSWD_SHARE &&
	    (!guessed || guesses < PASSWD_QUEUE / 2));
}

struct passwd_job *
passwd_check(struct passwd_pool *pool, const char *name, const char *password,
    const char *hash, passwd_cb cb, void *arg)
{
	struct passwd_job *job;
	uint8_t		   digest[DIGEST_LEN];
	bool		   guessed;

	digest_name(digest, name);
	guessed = recent_has(pool->guessed, digest);
	if (strlen(hash) >= sizeof(job->hash) ||
	    !has_room(pool, digest, guessed) ||
	    (job = calloc(1, sizeof(*job))) == NULL)
		return (NULL);
	/* A password too long stays so, and is wrong. */
	strlcpy(job->password, password, sizeof(job->password));
	strlcpy(job->hash, hash, sizeof(job->hash));
	memcpy(job->name, digest, sizeof(job->name));
	job->pool = pool;
	job->cb = cb;
	job->arg = arg;
	job->guessed = guessed;
	job->waiting = true;
	LIST_INSERT_HEAD(&pool->jobs, job, same);
	pool->njobs++;
	pthread_mutex_lock(&pool->lock);
	TAILQ_INSERT_TAIL(&pool->waiting[job->guessed], job, entry);
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	return (job);
}

void
passwd_do_next(struct passwd_job *job)
{
	struct passwd_pool *pool = job->pool;

	pthread_mutex_lock(&pool->lock);
	if (job->waiting) {
		TAILQ_REMOVE(&pool->waiting[job->guessed], job, entry);
		job->guessed = false;
		TAILQ_INSERT_HEAD(&pool->waiting[0], job, entry);
		pthread_cond_broadcast(&pool->work);
	}
	pthread_mutex_unlock(&pool->lock);
}

void
passwd_cancel(struct passwd_job *job)
{
	struct passwd_pool *pool = job->pool;
	bool		    waiting;

	job->cb = NULL;
	pthread_mutex_lock(&pool->lock);
	waiting = job->waiting;
	if (waiting)
		TAILQ_REMOVE(&pool->waiting[job->guessed], job, entry);
	pthread_mutex_unlock(&pool->lock);
	if (waiting)
		free_job(job);
}

static bool
start_thread(struct passwd_pool *pool, void *(*job)(void *))
{
	if (pthread_create(&pool->threads[pool->nthreads], NULL, job, pool) !=
	    0)
		return (false);
	pool->nthreads++;
	return (true);
}

static bool
start_threads(struct passwd_pool *pool, int n)
{
	while (n-- > 0)
		if (!start_thread(pool, work))
			return (false);
	return (start_thread(pool, work_on_guessed));
}

struct passwd_pool *
passwd_pool_new(struct event_base *base, int n)
{
	struct passwd_pool *pool;

	if (n > PASSWD_THREADS || (pool = calloc(1, sizeof(*pool))) == NULL)
		return (NULL);
	TAILQ_INIT(&pool->waiting[0]);
	TAILQ_INIT(&pool->waiting[1]);
	TAILQ_INIT(&pool->running);
	TAILQ_INIT(&pool->done);
	LIST_INIT(&pool->jobs);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pool->guessed = recent_new(GUESSED_SIZE, PASSWD_GUESSED_TTL);
	pool->wake = wake_new(base, on_woken, pool);
	if (pool->guessed == NULL || pool->wake == NULL ||
	    !start_threads(pool, n)) {
		passwd_pool_free(pool);
		return (NULL);
	}
	return (pool);
}

static void
free_jobs(struct passwd_pool *pool)
{
	struct passwd_job *job;

	while ((job = LIST_FIRST(&pool->jobs)) != NULL) {
		if (job->waiting)
			TAILQ_REMOVE(&pool->waiting[job->guessed], job, entry);
		job->waiting = false;
		if (job->cb != NULL)
			job->cb(job->arg, PASSWD_ERROR);
		free_job(job);
	}
}

void
passwd_pool_free(struct passwd_pool *pool)
{
	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	while (pool->nthreads > 0)
		pthread_join(pool->threads[--pool->nthreads], NULL);
	free_jobs(pool);
	recent_free(pool->guessed);
	wake_free(pool->wake);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}
