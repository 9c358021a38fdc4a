/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/* The arguments that a client gives to AUTH. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sasl.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sasl zero;
	struct sasl		 sasl, again;
	char			*args = malloc(size + 1);

	CHECK(args != NULL);
	if (size > 0)
		memcpy(args, data, size);
	args[size] = '\0';
	memset(&sasl, 0x55, sizeof(sasl));
	sasl_parse(args, &sasl);
	CHECK(memchr(sasl.name, '\0', sizeof(sasl.name)) != NULL);
	CHECK(memchr(sasl.password, '\0', sizeof(sasl.password)) != NULL);
	CHECK(sasl.form == SASL_CREDENTIAL || sasl.password[0] == '\0');
	/* Nothing of what was there before, or on the stack, shows. */
	sasl_parse(args, &again);
	CHECK(memcmp(&sasl, &again, sizeof(sasl)) == 0);
	sasl_clear(&sasl);
	CHECK(memcmp(&sasl, &zero, sizeof(sasl)) == 0);
	free(args);
	return (0);
}
