/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/* Header sections, line by line. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "from.h"
#include "header.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* A line in memory of just its size, so that a read too far is noticed. */
static void
take_line(struct header *h, const char *line, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);

	CHECK(copy != NULL);
	memcpy(copy, line, len);
	header_line(h, copy, len);
	free(copy);
	CHECK(h->fromlen <= FROM_MAX);
	CHECK(h->fromsize <= FROM_MAX);
	CHECK(memchr(h->message_id, '\0', sizeof(h->message_id)) != NULL);
}

static void
take(struct header *h, const char *text, size_t len)
{
	const char *end = text + len, *nl;

	while (text < end) {
		nl = memchr(text, '\n', (size_t)(end - text));
		if (nl == NULL)
			nl = end;
		take_line(h, text, (size_t)(nl - text));
		text = nl + 1;
	}
}

/* What is wrong stays wrong, whatever line comes after. */
static void
check_stays(struct header *h)
{
	static const char *const lines[] = { "From: x@other.example",
		"Subject: x", " <x@other.example>", "" };
	struct domains		 ds;
	size_t			 i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		header_line(h, lines[i], strlen(lines[i]));
		ds.n = 0;
		CHECK(header_domains(h, &ds) != REASON_NONE);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct header zero;
	struct header		   h = { .done = false };
	struct domains		   ds = { .n = 0 }, again = { .n = 0 };
	enum reason		   reason;

	take(&h, (const char *)data, size);
	reason = header_domains(&h, &ds);
	CHECK(header_domains(&h, &again) == reason);
	CHECK(again.n == ds.n);
	if (reason == REASON_NONE) {
		CHECK(h.nfrom == 1 && ds.n > 0);
		/* Neither a second From nor what is no field is overlooked. */
		if (!h.done) {
			header_line(&h, "From: x@other.example", 21);
			CHECK(header_domains(&h, &again) != REASON_NONE);
		}
	} else if (h.reason != REASON_NONE)
		check_stays(&h);
	header_clear(&h);
	CHECK(memcmp(&h, &zero, sizeof(h)) == 0);
	return (0);
}
