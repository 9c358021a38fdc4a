/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "confword.h"

const char *const confword_enforce[] = { "envelope", "header", NULL };
const char *const confword_spf[] = { "off", "published", "include", "pass",
	NULL };
const char *const confword_unit[] = { "message", "recipient", NULL };
const char *const confword_over[] = { "defer", "reject", "sandbox", NULL };
const char *const confword_local[] = { "trust", "enforce", NULL };
const char *const confword_refusal[] = { "auth", "mail-from", NULL };

const char confword_relay_name[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";

int
confword_find(const char *const *words, const char *value)
{
	int i;

	for (i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], value) == 0)
			return (i);
	return (-1);
}

unsigned int
confword_get(const char *const *words, const char *value)
{
	int i = confword_find(words, value);

	return (i < 0 ? 0 : (unsigned int)i);
}
