/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include "reach.h"
#include "sandbox.h"

bool
reach_redis(const struct conf *conf)
{
	(void)conf;
	return (true);
}

bool
reach_confine(void)
{
	return (sandbox_program());
}
