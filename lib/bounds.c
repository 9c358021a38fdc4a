/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include "bounds.h"

void
bounds_take(struct bounds *bounds, const struct bounds *others)
{
	if (bounds->over == OVER_UNSET)
		bounds->over = others->over;
	if (bounds->max_recipients == LIMIT_UNSET)
		bounds->max_recipients = others->max_recipients;
	if (bounds->max_size == LIMIT_UNSET)
		bounds->max_size = others->max_size;
}
