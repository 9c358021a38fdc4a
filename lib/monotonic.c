/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include "monotonic.h"

int64_t
monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (ts.tv_sec * 1000000LL + ts.tv_nsec / 1000);
}

int64_t
monotonic_ms(void)
{
	return (monotonic_us() / 1000);
}

time_t
monotonic_s(void)
{
	return (monotonic_us() / 1000000);
}
