/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include "utc.h"

void
utc_text(time_t when, char buf[UTC_TEXT])
{
	struct tm tm;

	if (gmtime_r(&when, &tm) == NULL ||
	    strftime(buf, UTC_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		buf[0] = '\0';
}
