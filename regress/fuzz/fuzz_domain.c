/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/* Domains, as envelope senders and From fields have them. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "domain.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/*
 * Nothing but what a host name may be made of, and underscores in front of the
 * last two labels.
 */
static void
check_name(const char *name)
{
	const char *last = strrchr(name, '.'), *two;
	size_t	    len = strlen(name);

	CHECK(len > 2 && len < DOMAIN_TEXT);
	CHECK(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-._") == len);
	CHECK(last != NULL && strstr(name, "..") == NULL);
	for (two = last; two > name && two[-1] != '.'; two--)
		continue;
	CHECK(strchr(two, '_') == NULL);
	CHECK(name[0] != '.' && name[len - 1] != '.');
	CHECK(name[0] != '-' && name[len - 1] != '-');
	CHECK(strstr(name, ".-") == NULL && strstr(name, "-.") == NULL);
}

/* The same in upper case, as far as that is ASCII. */
static void
check_case(const char *text, size_t len, const char *name)
{
	char  *upper = malloc(len), again[DOMAIN_TEXT];
	size_t i;

	CHECK(upper != NULL);
	for (i = 0; i < len; i++)
		upper[i] = text[i] >= 'a' && text[i] <= 'z'
		    ? (char)(text[i] - 'a' + 'A')
		    : text[i];
	CHECK(domain_alabel(upper, len, again));
	CHECK(strcmp(name, again) == 0);
	free(upper);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	char	    name[DOMAIN_TEXT], again[DOMAIN_TEXT];

	if (!domain_alabel(text, size, name))
		return (0);
	check_name(name);
	CHECK(domain_alabel(name, strlen(name), again));
	CHECK(strcmp(name, again) == 0);
	check_case(text, size, name);
	return (0);
}
