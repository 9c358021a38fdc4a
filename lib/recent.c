/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "monotonic.h"
#include "recent.h"

#define WAYS 4

struct entry {
	uint8_t digest[DIGEST_LEN];
	time_t	expires; /* monotonic */
};

struct recent {
	size_t rows;
	int    ttl;
	struct entry (*row)[WAYS];
};

static struct entry *
row_of(const struct recent *r, const uint8_t digest[DIGEST_LEN])
{
	uint32_t n;

	/* The first byte has a bit set always. */
	memcpy(&n, digest + 1, sizeof(n));
	return (r->row[n % r->rows]);
}

struct recent *
recent_new(size_t size, int ttl)
{
	struct recent *r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return (NULL);
	r->rows = size / WAYS;
	r->ttl = ttl;
	if ((r->row = calloc(r->rows, sizeof(*r->row))) == NULL) {
		free(r);
		return (NULL);
	}
	return (r);
}

void
recent_free(struct recent *r)
{
	if (r == NULL)
		return;
	free(r->row);
	free(r);
}

void
recent_add(struct recent *r, const uint8_t digest[DIGEST_LEN])
{
	struct entry *row = row_of(r, digest), *oldest = row;
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
	oldest->expires = monotonic_s() + r->ttl;
}

bool
recent_has(const struct recent *r, const uint8_t digest[DIGEST_LEN])
{
	const struct entry *row = row_of(r, digest);
	size_t		    i;

	for (i = 0; i < WAYS; i++)
		if (memcmp(row[i].digest, digest, DIGEST_LEN) == 0)
			return (row[i].expires > monotonic_s());
	return (false);
}

bool
recent_add_new(struct recent *r, size_t n, const char *const *strings)
{
	uint8_t digest[DIGEST_LEN];

	digest_strings(digest, n, strings);
	if (recent_has(r, digest))
		return (false);
	recent_add(r, digest);
	return (true);
}
