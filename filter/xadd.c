/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stdio.h>

#include "xadd.h"

void
xadd_begin(struct xadd *x, const char *key, int max)
{
	const char *const head[] = { "XADD", key, "MAXLEN", "~", x->max, "*" };

	snprintf(x->max, sizeof(x->max), "%d", max);
	for (x->n = 0; x->n < (int)(sizeof(head) / sizeof(head[0])); x->n++)
		x->v[x->n] = head[x->n];
}

void
xadd_field(struct xadd *x, const char *name, const char *value)
{
	if (value == NULL || value[0] == '\0' || x->n + 2 > XADD_WORDS)
		return;
	x->v[x->n++] = name;
	x->v[x->n++] = value;
}
