/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "monotonic.h"
#include "spfcache.h"

struct entry {
	UT_hash_handle	  hh;
	time_t		  expires; /* monotonic */
	struct spf_answer answer;
	char		  domain[];
};

struct spfcache {
	struct entry *bydomain; /* in the order of addition */
};

static time_t
lifetime(const struct spf_answer *answer)
{
	if (answer->verdict != SPF_VERDICT_OK)
		return (SPFCACHE_BAD);
	if (answer->ttl < SPFCACHE_MIN)
		return (SPFCACHE_MIN);
	return (answer->ttl > SPFCACHE_MAX ? SPFCACHE_MAX : answer->ttl);
}

static void
drop_entry(struct spfcache *c, struct entry *e)
{
	/* The analyser loses track of what HASH_DEL() makes the head. */
	HASH_DEL(c->bydomain, e); /* NOLINT(clang-analyzer-unix.Malloc) */
	free(e);
}

void
spfcache_add(struct spfcache *c, const char *domain,
    const struct spf_answer *answer)
{
	struct entry *e;
	size_t	      len = strlen(domain);

	HASH_FIND(hh, c->bydomain, domain, len, e);
	if (e != NULL)
		drop_entry(c, e);
	if (answer->verdict == SPF_VERDICT_UNKNOWN)
		return;
	if (HASH_COUNT(c->bydomain) >= SPFCACHE_SIZE)
		drop_entry(c, c->bydomain);
	if ((e = calloc(1, sizeof(*e) + len + 1)) == NULL)
		return;
	memcpy(e->domain, domain, len);
	e->answer = *answer;
	e->expires = monotonic_s() + lifetime(answer);
	HASH_ADD_KEYPTR(hh, c->bydomain, e->domain, len, e);
	if (e->hh.tbl == NULL)
		free(e);
}

const struct spf_answer *
spfcache_find(struct spfcache *c, const char *domain)
{
	struct entry *e;

	HASH_FIND(hh, c->bydomain, domain, strlen(domain), e);
	if (e == NULL)
		return (NULL);
	if (e->expires > monotonic_s())
		return (&e->answer);
	drop_entry(c, e);
	return (NULL);
}

struct spfcache *
spfcache_new(void)
{
	return (calloc(1, sizeof(struct spfcache)));
}

void
spfcache_free(struct spfcache *c)
{
	struct entry *e, *next;

	if (c == NULL)
		return;
	HASH_ITER(hh, c->bydomain, e, next)
	drop_entry(c, e);
	free(c);
}
