/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/* Texts with encoded words. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* In memory of just its size; the same in its own place as in another. */
static void
check(const char *text, size_t size, bool spaces)
{
	char	  *out = malloc(size), *own = malloc(size);
	size_t	   len, ownlen;
	enum words words;

	CHECK(out != NULL && own != NULL);
	memcpy(own, text, size);
	words = words_decode(text, size, spaces, out, &len);
	CHECK(words_decode(own, size, spaces, own, &ownlen) == words);
	CHECK(len <= size && len == ownlen && memcmp(out, own, len) == 0);
	if (words == WORDS_NONE)
		CHECK(len == size && memcmp(out, text, len) == 0);
	free(out);
	free(own);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0) {
		check((const char *)data, size, false);
		check((const char *)data, size, true);
	}
	return (0);
}
