/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "redisdial.h"

#define PAUSE_MIN 50 /* milliseconds */
#define PAUSE_MAX 5000

static bool
same_address(const struct resolve_address *a, const struct resolve_address *b)
{
	return (a->len == b->len && memcmp(&a->sa, &b->sa, a->len) == 0);
}

void
redisdial_take(struct redisdial *d, const struct resolve_address *address,
    size_t n)
{
	size_t i;

	d->n = n;
	d->tried = 0;
	memcpy(d->address, address, n * sizeof(*address));
	for (i = 1; i < n; i++)
		if (same_address(&d->served, &address[i])) {
			d->address[0] = address[i];
			d->address[i] = address[0];
		}
}

bool
redisdial_more(const struct redisdial *d)
{
	return (d->tried < d->n);
}

const struct resolve_address *
redisdial_next(struct redisdial *d)
{
	return (&d->address[d->tried++]);
}

/* At which address, where there are several. */
void
redisdial_failed(struct redisdial *d, const char *why)
{
	const struct resolve_address *a;
	char			      host[NI_MAXHOST];
	size_t			      len = strlen(d->why);

	if (d->n < 2 || d->tried == 0) {
		strlcpy(d->why, why, sizeof(d->why));
		return;
	}
	a = &d->address[d->tried - 1];
	if (getnameinfo((const struct sockaddr *)&a->sa, a->len, host,
		sizeof(host), NULL, 0, NI_NUMERICHOST) != 0)
		host[0] = '\0';
	snprintf(d->why + len, sizeof(d->why) - len, "%s%s: %s",
	    len > 0 ? "; " : "", host, why);
}

void
redisdial_serves(struct redisdial *d)
{
	d->served = d->address[d->tried - 1];
	d->n = d->tried = 0;
	d->pause = 0;
	d->why[0] = '\0';
}

int64_t
redisdial_pause(struct redisdial *d)
{
	d->n = d->tried = 0;
	d->why[0] = '\0';
	d->pause = d->pause == 0 ? PAUSE_MIN : d->pause * 2;
	if (d->pause > PAUSE_MAX)
		d->pause = PAUSE_MAX;
	return (d->pause / 2 + arc4random_uniform((uint32_t)d->pause));
}
