/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "log.h"
#include "monotonic.h"
#include "passwd.h"
#include "passwords.h"
#include "recent.h"
#include "stall.h"
#include "user.h"

#define THREADS 2

/*
 * Passwords remembered with what became of them, and for how many seconds:
 * as a digest of name, password and the hash that it was verified against, so
 * with another hash in Redis it is verified anew.  Wrong ones, of which there
 * is no end, do not push out right ones.
 */
#define RIGHT_SIZE 16384
#define RIGHT_TTL (24 * 3600)
#define WRONG_SIZE 16384
#define WRONG_TTL 600

/* Seconds between two lines of the log about guessing. */
#define LOG_PAUSE 60

/* The computation of a hash. */
struct verification {
	struct passwords *passwords;
	int64_t		  began; /* microseconds, monotonic */
	uint8_t		  digest[DIGEST_LEN];
};

struct passwords {
	passwords_cb	     cb;
	void		    *arg;
	struct passwd_pool  *pool;
	struct recent	    *right;
	struct recent	    *wrong;
	struct verification *waited; /* smtpd waits for this one */
	struct stall	     stall;  /* for wrong passwords */
	int64_t		     guessing_logged;
};

struct passwords *
passwords_new(struct event_base *base, passwords_cb cb, void *arg)
{
	struct passwords *p;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return (NULL);
	p->cb = cb;
	p->arg = arg;
	if ((p->right = recent_new(RIGHT_SIZE, RIGHT_TTL)) != NULL &&
	    (p->wrong = recent_new(WRONG_SIZE, WRONG_TTL)) != NULL &&
	    (p->pool = passwd_pool_new(base, THREADS)) != NULL)
		return (p);
	passwords_free(p);
	return (NULL);
}

void
passwords_free(struct passwords *p)
{
	if (p == NULL)
		return;
	p->waited = NULL;
	if (p->pool != NULL)
		passwd_pool_free(p->pool);
	recent_free(p->right);
	recent_free(p->wrong);
	free(p);
}

static void
count_wait(struct passwords *p)
{
	int64_t now = monotonic_us();

	stall_add(&p->stall, now, now - p->waited->began);
}

void
passwords_give_up(struct passwords *p)
{
	if (p->waited != NULL)
		count_wait(p);
	p->waited = NULL;
}

static enum passwords_answer
answer_of(enum passwd_result result)
{
	switch (result) {
	case PASSWD_RIGHT:
		return (PASSWORDS_RIGHT);
	case PASSWD_WRONG:
		return (PASSWORDS_WRONG);
	default:
		return (PASSWORDS_ERROR);
	}
}

static void
on_verified(void *arg, enum passwd_result result)
{
	struct verification *v = arg;
	struct passwords    *p = v->passwords;
	bool		     waited = p->waited == v;

	if (result != PASSWD_ERROR)
		recent_add(result == PASSWD_RIGHT ? p->right : p->wrong,
		    v->digest);
	if (waited && result != PASSWD_RIGHT)
		count_wait(p);
	if (waited)
		p->waited = NULL;
	free(v);
	if (waited)
		p->cb(p->arg, answer_of(result));
}

/* False when it cannot be done now. */
static bool
verify(struct passwords *p, const struct user *user, const char *password,
    const uint8_t digest[DIGEST_LEN], bool waited)
{
	struct verification *v;
	struct passwd_job   *job;

	if ((v = calloc(1, sizeof(*v))) == NULL)
		return (false);
	job = passwd_check(p->pool, user->name, password, user->password,
	    on_verified, v);
	if (job == NULL) {
		free(v);
		return (false);
	}
	v->passwords = p;
	v->began = monotonic_us();
	memcpy(v->digest, digest, sizeof(v->digest));
	if (waited) {
		passwd_do_next(job);
		p->waited = v;
	}
	return (true);
}

static void
log_guessing(struct passwords *p, const char *name)
{
	int64_t now = monotonic_us();

	if (p->guessing_logged != 0 &&
	    now - p->guessing_logged < LOG_PAUSE * 1000000LL)
		return;
	p->guessing_logged = now;
	log_warnx("too many wrong passwords, the last for %s: those for users "
		  "who are guessed at are refused before they are verified",
	    name);
}

/*
 * smtpd stands still for each password that is waited for, so wrong ones have
 * a share of its time.  Once that is used up, a password that is not known for
 * a name that has had wrong ones is refused, as a wrong one is, lest the reply
 * tell which names are there; it is verified behind that, and known when the
 * client comes again.
 */
static enum passwords_answer
check_unknown(struct passwords *p, const struct user *user,
    const char *password, const uint8_t digest[DIGEST_LEN])
{
	bool guessed = passwd_guessed(p->pool, user->name);

	if (guessed && stall_exhausted(&p->stall, monotonic_us())) {
		log_guessing(p, user->name);
		verify(p, user, password, digest, false);
		return (PASSWORDS_WRONG);
	}
	if (verify(p, user, password, digest, true))
		return (PASSWORDS_LATER);
	return (guessed ? PASSWORDS_WRONG : PASSWORDS_FULL);
}

enum passwords_answer
passwords_check(struct passwords *p, const struct user *user,
    const char *password)
{
	const char *strings[] = { user->name, password, user->password };
	uint8_t	    digest[DIGEST_LEN];

	digest_strings(digest, 3, strings);
	if (recent_has(p->right, digest))
		return (PASSWORDS_RIGHT);
	if (recent_has(p->wrong, digest))
		return (PASSWORDS_WRONG);
	return (check_unknown(p, user, password, digest));
}
