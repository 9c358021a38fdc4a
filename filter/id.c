/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/stdlib.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#include "id.h"

void
id_draw(char id[ID_TEXT])
{
	uint64_t n;

	arc4random_buf(&n, sizeof(n));
	snprintf(id, ID_TEXT, "%016" PRIx64, n);
}
