/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/* Values of From fields. */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "completion.h"
#include "from.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* Each domain is one that would be found again, each once. */
static void
check_domains(const struct domains *ds)
{
	char   again[DOMAIN_TEXT];
	size_t i, k;

	CHECK(ds->n <= DOMAINS_MAX);
	for (i = 0; i < ds->n; i++) {
		CHECK(domain_alabel(ds->name[i], strlen(ds->name[i]), again));
		CHECK(strcmp(ds->name[i], again) == 0);
		for (k = 0; k < i; k++)
			CHECK(strcmp(ds->name[i], ds->name[k]) != 0);
	}
}

static bool
has_domain(const struct domains *ds, const char *name)
{
	size_t i;

	for (i = 0; i < ds->n; i++)
		if (strcmp(ds->name[i], name) == 0)
			return (true);
	return (false);
}

/* What is let through has an address, and smtpd leaves it as it is. */
static void
check_passed(const char *value, size_t len, const struct domains *ds)
{
	CHECK(ds->n > 0);
	CHECK(len <= FROM_MAX);
	CHECK(memchr(value, '@', len) != NULL);
	CHECK(memchr(value, '\0', len) == NULL);
	CHECK(memchr(value, '\r', len) == NULL);
	CHECK(!completion_alters(value, len));
}

/* An author more is seen, whatever stands before. */
static void
check_joined(const char *value, size_t len)
{
	static const char other[] = ",x@other.example";
	struct domains	  ds = { .n = 0 };
	size_t		  n = len + sizeof(other) - 1;
	char		 *joined = malloc(n);

	CHECK(joined != NULL);
	memcpy(joined, value, len);
	memcpy(joined + len, other, sizeof(other) - 1);
	if (from_parse(joined, n, &ds) == REASON_NONE)
		CHECK(has_domain(&ds, "other.example"));
	free(joined);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct domains ds = { .n = 0 };
	enum reason    reason;

	reason = from_parse((const char *)data, size, &ds);
	check_domains(&ds);
	if (reason == REASON_NONE)
		check_passed((const char *)data, size, &ds);
	if (size > 0)
		check_joined((const char *)data, size);
	return (0);
}
