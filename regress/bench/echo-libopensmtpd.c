/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/* The least that a filter on libopensmtpd can do: hand back each line. */

#include <sys/socket.h>
#include <sys/time.h>

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <opensmtpd.h>

static void
echo(struct osmtpd_ctx *ctx, const char *line)
{
	osmtpd_filter_dataline(ctx, "%s", line);
}

int
main(void)
{
	osmtpd_register_filter_dataline(echo);
	osmtpd_run();
	return (0);
}
