/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <bsd/string.h>
#include <crypt.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "passwd.h"

#define THREADS_MAX 8

struct passwd_job {
	TAILQ_ENTRY(passwd_job) entry;
	passwd_cb	   cb; /* NULL: cancelled */
	void		  *arg;
	enum passwd_result result;
	char		   password[PASSWD_MAX + 1];
	char		   hash[CRYPT_OUTPUT_SIZE];
};

TAILQ_HEAD(jobs, passwd_job);

struct passwd_pool {
	pthread_mutex_t lock; /* guards waiting, done, stopping */
	pthread_cond_t	work;
	struct jobs	waiting;
	struct jobs	done;
	bool		stopping;
	pthread_t	threads[THREADS_MAX];
	int		nthreads;
	int		njobs; /* the loop's own count */
	int		wake;  /* eventfd(2): some job is done */
	struct event   *woken;
};

static void
free_job(struct passwd_job *job)
{
	freezero(job, sizeof(*job));
}

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
	out = crypt_rn(password, hash, data, sizeof(*data));
	if (out == NULL || out[0] == '*')
		result = PASSWD_ERROR;
	else if (strlen(out) == len && CRYPTO_memcmp(out, hash, len) == 0)
		result = PASSWD_RIGHT;
	freezero(data, sizeof(*data));
	return (result);
}

static struct passwd_job *
next_job(struct passwd_pool *pool)
{
	struct passwd_job *job;

	pthread_mutex_lock(&pool->lock);
	while ((job = TAILQ_FIRST(&pool->waiting)) == NULL && !pool->stopping)
		pthread_cond_wait(&pool->work, &pool->lock);
	if (pool->stopping)
		job = NULL;
	if (job != NULL)
		TAILQ_REMOVE(&pool->waiting, job, entry);
	pthread_mutex_unlock(&pool->lock);
	return (job);
}

static void *
work(void *arg)
{
	struct passwd_pool *pool = arg;
	struct passwd_job  *job;
	const uint64_t	    one = 1;

	while ((job = next_job(pool)) != NULL) {
		job->result = passwd_verify(job->password, job->hash);
		pthread_mutex_lock(&pool->lock);
		TAILQ_INSERT_TAIL(&pool->done, job, entry);
		pthread_mutex_unlock(&pool->lock);
		if (write(pool->wake, &one, sizeof(one)) == -1)
			continue; /* the counter is full: it wakes */
	}
	return (NULL);
}

static void
on_woken(evutil_socket_t fd, short what, void *arg)
{
	struct passwd_pool *pool = arg;
	struct passwd_job  *job;
	struct jobs	    done;
	uint64_t	    count;

	(void)what;
	if (read(fd, &count, sizeof(count)) == -1)
		return;
	TAILQ_INIT(&done);
	pthread_mutex_lock(&pool->lock);
	TAILQ_CONCAT(&done, &pool->done, entry);
	pthread_mutex_unlock(&pool->lock);
	while ((job = TAILQ_FIRST(&done)) != NULL) {
		TAILQ_REMOVE(&done, job, entry);
		pool->njobs--;
		if (job->cb != NULL)
			job->cb(job->arg, job->result);
		free_job(job);
	}
}

struct passwd_job *
passwd_check(struct passwd_pool *pool, const char *password, const char *hash,
    passwd_cb cb, void *arg)
{
	struct passwd_job *job;

	if (pool->njobs >= PASSWD_QUEUE ||
	    (job = calloc(1, sizeof(*job))) == NULL)
		return (NULL);
	/* A password too long stays so, and is wrong. */
	strlcpy(job->password, password, sizeof(job->password));
	if (strlcpy(job->hash, hash, sizeof(job->hash)) >= sizeof(job->hash)) {
		free_job(job);
		return (NULL);
	}
	job->cb = cb;
	job->arg = arg;
	pool->njobs++;
	pthread_mutex_lock(&pool->lock);
	TAILQ_INSERT_TAIL(&pool->waiting, job, entry);
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	return (job);
}

void
passwd_cancel(struct passwd_job *job)
{
	job->cb = NULL;
}

static bool
start_threads(struct passwd_pool *pool, int n)
{
	for (; pool->nthreads < n; pool->nthreads++)
		if (pthread_create(&pool->threads[pool->nthreads], NULL, work,
			pool) != 0)
			return (false);
	return (true);
}

struct passwd_pool *
passwd_pool_new(struct event_base *base, int n)
{
	struct passwd_pool *pool;

	if (n > THREADS_MAX || (pool = calloc(1, sizeof(*pool))) == NULL)
		return (NULL);
	TAILQ_INIT(&pool->waiting);
	TAILQ_INIT(&pool->done);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pool->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pool->wake != -1)
		pool->woken = event_new(base, pool->wake, EV_READ | EV_PERSIST,
		    on_woken, pool);
	if (pool->woken == NULL || event_add(pool->woken, NULL) == -1 ||
	    !start_threads(pool, n)) {
		passwd_pool_free(pool);
		return (NULL);
	}
	return (pool);
}

static void
free_jobs(struct jobs *jobs)
{
	struct passwd_job *job;

	while ((job = TAILQ_FIRST(jobs)) != NULL) {
		TAILQ_REMOVE(jobs, job, entry);
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
	free_jobs(&pool->waiting);
	free_jobs(&pool->done);
	if (pool->woken != NULL)
		event_free(pool->woken);
	if (pool->wake != -1)
		close(pool->wake);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}
