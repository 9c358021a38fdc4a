/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stddef.h>
#include <string.h>

#include "tally.h"

#define TURNS 6 /* in a minute */

/*
 * Times are counted by their size: each from 0 to 15 microseconds by itself,
 * above that eight ranges for each power of two, up to 2^27: two minutes.
 */
#define SMALL 16
#define SMALL_BITS 4
#define RANGE_BITS 3
#define TIME_BITS 27
#define RANGES (SMALL + ((TIME_BITS - SMALL_BITS) << RANGE_BITS))
#define TIME_MAX ((INT64_C(1) << TIME_BITS) - 1)

struct turn {
	uint32_t times[RANGES];
	int64_t	 worst;
	int64_t	 before[NTALLIES]; /* what there was when it began */
};

int64_t tallies[NTALLIES];

static struct turn  turns[TURNS];
static unsigned int present;

static size_t
range_of(int64_t us)
{
	unsigned int bits;

	if (us < SMALL)
		return ((size_t)us);
	bits = 63 - (unsigned int)__builtin_clzll((uint64_t)us);
	return (SMALL + ((size_t)(bits - SMALL_BITS) << RANGE_BITS) +
	    ((size_t)us >> (bits - RANGE_BITS)) - (1 << RANGE_BITS));
}

/* The largest time of a range. */
static int64_t
end_of(size_t range)
{
	size_t octave = (range - SMALL) >> RANGE_BITS;
	size_t part = (range - SMALL) & ((1 << RANGE_BITS) - 1);

	if (range < SMALL)
		return ((int64_t)range);
	return (((int64_t)((1 << RANGE_BITS) + part + 1)
		    << (octave + SMALL_BITS - RANGE_BITS)) -
	    1);
}

void
tally_redis(int64_t us)
{
	struct turn *now = &turns[present];

	if (us < 0)
		us = 0;
	if (us > TIME_MAX)
		us = TIME_MAX;
	tally_add(TALLY_REDIS_REQUESTS, 1);
	tally_add(TALLY_REDIS_TIME, us);
	now->times[range_of(us)]++;
	if (us > now->worst)
		now->worst = us;
}

void
tally_turn(void)
{
	struct turn *next;

	present = (present + 1) % TURNS;
	next = &turns[present];
	memset(next, 0, sizeof(*next));
	memcpy(next->before, tallies, sizeof(tallies));
}

int64_t
tally_minute(enum tally which)
{
	const struct turn *oldest = &turns[(present + 1) % TURNS];

	return (tallies[which] - oldest->before[which]);
}

static uint64_t
add_turns(uint64_t sum[RANGES], int64_t *worst)
{
	uint64_t all = 0;
	size_t	 i, t;

	for (t = 0; t < TURNS; t++) {
		for (i = 0; i < RANGES; i++) {
			sum[i] += turns[t].times[i];
			all += turns[t].times[i];
		}
		if (turns[t].worst > *worst)
			*worst = turns[t].worst;
	}
	return (all);
}

/* The time that so many took at most. */
static int64_t
time_of(const uint64_t sum[RANGES], uint64_t rank, int64_t worst)
{
	uint64_t passed = 0;
	size_t	 i;

	for (i = 0; i < RANGES - 1 && (passed += sum[i]) < rank; i++)
		continue;
	return (end_of(i) < worst ? end_of(i) : worst);
}

struct tally_latency
tally_latency(void)
{
	struct tally_latency found = { 0 };
	uint64_t	     sum[RANGES] = { 0 }, n;

	n = found.replies = add_turns(sum, &found.worst);
	found.median = time_of(sum, (n + 1) / 2, found.worst);
	found.p99 = time_of(sum, n - n / 100, found.worst);
	return (found);
}
