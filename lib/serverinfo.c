/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <bsd/string.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serverinfo.h"

#define VALUE 64

/* The value of a line `key:value`; the other where there is no such line. */
static void
value_of(const char *info, const char *key, const char *other,
    char value[VALUE])
{
	size_t	    len = strlen(key), n;
	const char *p;

	strlcpy(value, other, VALUE);
	for (p = info; (p = strstr(p, key)) != NULL; p += len) {
		if (p[len] != ':' || (p != info && p[-1] != '\n'))
			continue;
		p += len + 1;
		n = strcspn(p, "\r\n");
		strlcpy(value, p, n < VALUE ? n + 1 : VALUE);
		return;
	}
}

static bool
is(const char *info, const char *key, const char *other, const char *what)
{
	char value[VALUE];

	value_of(info, key, other, value);
	return (strcmp(value, what) == 0);
}

static void
eviction(const char *info, char text[DANGER_TEXT])
{
	char policy[VALUE];

	value_of(info, "maxmemory_policy", "noeviction", policy);
	if (strcmp(policy, "noeviction") == 0)
		return;
	if (is(info, "maxmemory", "", "0"))
		snprintf(text, DANGER_TEXT,
		    "maxmemory-policy is %s, which counts once there is a "
		    "maxmemory; it should be noeviction",
		    policy);
	else
		snprintf(text, DANGER_TEXT,
		    "maxmemory-policy is %s: when memory is used up, users "
		    "and counters vanish; it should be noeviction",
		    policy);
}

static void
persistence(const char *info, char text[DANGER_TEXT])
{
	if (!is(info, "aof_enabled", "", "1"))
		strlcpy(text,
		    "there is no append-only file: what was written last, "
		    "counters among it, is lost with a crash; appendonly "
		    "should be yes",
		    DANGER_TEXT);
	else if (!is(info, "aof_last_write_status", "ok", "ok"))
		strlcpy(text, "the append-only file cannot be written",
		    DANGER_TEXT);
}

static void
replication(const char *info, int replicas, char text[DANGER_TEXT])
{
	char value[VALUE];
	long connected;

	value_of(info, "connected_slaves", "0", value);
	connected = strtol(value, NULL, 10);
	if (is(info, "role", "master", "slave"))
		strlcpy(text, "this is a replica, which cannot be written",
		    DANGER_TEXT);
	else if (connected < replicas)
		snprintf(text, DANGER_TEXT,
		    "redis_replicas is %d, and there are %ld: messages "
		    "with a quota are deferred",
		    replicas, connected);
	else if (connected > 0 && replicas == 0)
		strlcpy(text,
		    "there are replicas: after a fail-over to one of them, "
		    "messages that were counted last may not be counted; see "
		    "redis_replicas",
		    DANGER_TEXT);
}

void
serverinfo_read(const char *info, int replicas, char text[DANGERS][DANGER_TEXT])
{
	memset(text, 0, DANGERS * sizeof(*text));
	eviction(info, text[DANGER_EVICTION]);
	persistence(info, text[DANGER_PERSISTENCE]);
	replication(info, replicas, text[DANGER_REPLICAS]);
}
