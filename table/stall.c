/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include "stall.h"

static void
drain(struct stall *s, int64_t now)
{
	int64_t drained = (now - s->when) / STALL_SHARE;

	if (s->owed <= drained) {
		s->owed = 0;
		s->when = now;
	} else {
		s->owed -= drained;
		s->when += drained * STALL_SHARE; /* the rest comes later */
	}
}

void
stall_add(struct stall *s, int64_t now, int64_t took)
{
	drain(s, now);
	s->owed += took;
}

bool
stall_exhausted(struct stall *s, int64_t now)
{
	drain(s, now);
	return (s->owed >= STALL_MAX);
}
