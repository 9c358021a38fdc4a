/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <string.h>

#include "argv.h"

struct argv *
argv_copy(int argc, const char **argv)
{
	struct argv *copy;
	size_t	     bytes = sizeof(*copy), len;
	char	    *text;
	int	     i;

	for (i = 0; i < argc; i++)
		bytes += sizeof(*argv) + strlen(argv[i]) + 1;
	if ((copy = malloc(bytes)) == NULL)
		return (NULL);
	copy->bytes = bytes;
	copy->argc = argc;
	text = (char *)(copy->argv + argc);
	for (i = 0; i < argc; i++) {
		len = strlen(argv[i]) + 1;
		copy->argv[i] = memcpy(text, argv[i], len);
		text += len;
	}
	return (copy);
}

void
argv_free(struct argv *copy)
{
	if (copy != NULL)
		freezero(copy, copy->bytes);
}
