/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/* A line that smtpd sends to a table. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tableline.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_within(const char *text, const char *line, size_t len)
{
	CHECK(text >= line && text + strlen(text) <= line + len);
}

/* What the answer carries must be what the question did. */
static void
check(const struct tableline *tl, const char *line, size_t len)
{
	check_within(tl->name, line, len);
	if (tl->key[0] != '\0') {
		check_within(tl->key, line, len);
		CHECK(tl->key + strlen(tl->key) == line + len);
	}
	if (tl->kind == TABLE_CONFIG)
		return;
	check_within(tl->id, line, len);
	CHECK(strlen(tl->id) > 0 && strlen(tl->id) < TABLELINE_ID);
	CHECK(strspn(tl->id, "0123456789abcdef") == strlen(tl->id));
	CHECK(tl->kind == TABLE_UPDATE || tl->id > tl->name);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tableline tl;
	char		*line = malloc(size + 1);
	const char	*why;

	CHECK(line != NULL);
	if (size > 0)
		memcpy(line, data, size);
	line[size] = '\0';
	why = tableline_parse(line, size, &tl);
	if (why == NULL)
		check(&tl, line, size);
	else
		CHECK(why[0] != '\0');
	free(line);
	return (0);
}
