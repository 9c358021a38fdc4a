/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>
#include <time.h>

#include "authcache.h"

#define WAYS 4

static struct entry {
	uint8_t digest[DIGEST_LEN];
	time_t	expires; /* monotonic */
} entries[AUTHCACHE_SIZE / WAYS][WAYS];

static time_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (ts.tv_sec);
}

static struct entry *
row_of(const uint8_t digest[DIGEST_LEN])
{
	uint32_t n;

	/* The first byte has a bit set always. */
	memcpy(&n, digest + 1, sizeof(n));
	return (entries[n % (AUTHCACHE_SIZE / WAYS)]);
}

void
authcache_digest(uint8_t digest[DIGEST_LEN], const char *name,
    const char *password, const char *hash)
{
	const char *strings[] = { name, password, hash };

	digest_strings(digest, 3, strings);
}

void
authcache_add(const uint8_t digest[DIGEST_LEN])
{
	struct entry *row = row_of(digest), *oldest = row;
	size_t	      i;

	for (i = 0; i < WAYS; i++) {
		if (memcmp(row[i].digest, digest, DIGEST_LEN) == 0) {
			oldest = &row[i];
			break;
		}
		if (row[i].expires < oldest->expires)
			oldest = &row[i];
	}
	memcpy(oldest->digest, digest, DIGEST_LEN);
	oldest->expires = now() + AUTHCACHE_TTL;
}

bool
authcache_has(const uint8_t digest[DIGEST_LEN])
{
	const struct entry *row = row_of(digest);
	size_t		    i;

	for (i = 0; i < WAYS; i++)
		if (memcmp(row[i].digest, digest, DIGEST_LEN) == 0)
			return (row[i].expires > now());
	return (false);
}
