/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * charges conf users count depth: reserves so often, for that many users in
 * turn, so many at a time through one connection; prints count and seconds.
 */

#include <sys/types.h>

#include <err.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "conf.h"
#include "functions.h"
#include "id.h"
#include "quota.h"
#include "servers.h"
#include "writequeue.h"

static struct quotas quotas;
static unsigned long nusers, count, sent, done;

static void next(void);

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

static void
on_reserved(void *arg, const struct quota_answer *answer)
{
	(void)arg;
	if (answer->result != QUOTA_OK)
		errx(1, "refused: %s",
		    answer->reply != NULL ? answer->reply : "bad record");
	if (++done == count)
		event_base_loopbreak(quotas.base);
	else if (sent < count)
		next();
}

static void
next(void)
{
	char		      name[32], id[ID_TEXT];
	struct quota_question request = {
		.user = name, .account = "", .units = 1
	};

	snprintf(name, sizeof(name), "user%lu", sent++ * 7919 % nusers);
	id_draw(id);
	if (quota_reserve(&quotas, &request, id, on_reserved, NULL) == NULL)
		err(1, "quota_reserve");
}

int
main(int argc, char *argv[])
{
	struct servers *servers;
	unsigned long	depth;
	double		began;

	if (argc != 5)
		errx(64, "usage: charges conf users count depth");
	nusers = strtoul(argv[2], NULL, 10);
	count = strtoul(argv[3], NULL, 10);
	depth = strtoul(argv[4], NULL, 10);
	quotas.base = event_base_new();
	quotas.conf = conf_load(argv[1], stderr);
	if (quotas.base == NULL || quotas.conf == NULL)
		errx(1, "cannot start");
	servers = servers_new(quotas.base, quotas.conf);
	quotas.functions = functions_new(servers);
	quotas.writequeue = writequeue_new(quotas.base, servers);
	while (!servers_ready(servers))
		event_base_loop(quotas.base, EVLOOP_ONCE);
	/* The first makes sure that the functions are there. */
	count += 1;
	next();
	while (done == 0)
		event_base_loop(quotas.base, EVLOOP_ONCE);
	began = now();
	while (sent < count && depth-- > 0)
		next();
	event_base_dispatch(quotas.base);
	printf("%lu %.6f\n", count - 1, now() - began);
	return (0);
}
