/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "alarm.h"
#include "period.h"

#define WORD_MAX 64

const char *const alarm_words[] = { "sources", "senders", "recipients",
	"volume", "blocked", "failures", NULL };
const char *const alarm_actions[] = { "off", "notice", "sandbox", "block",
	NULL };

/* The limit of the kind that a word begins with; NULL: of none. */
static struct alarm_limit *
limit_named(struct alarm_limits *limits, const char *word, const char **rest)
{
	size_t i, len = strcspn(word, "=");

	for (i = 0; i < ALARM_KINDS; i++)
		if (strlen(alarm_words[i]) == len && word[len] == '=' &&
		    strncmp(alarm_words[i], word, len) == 0) {
			*rest = word + len + 1;
			return (&limits->of[i]);
		}
	return (NULL);
}

static bool
parse_word(struct alarm_limits *limits, const char *word)
{
	struct alarm_limit *limit;
	const char	   *rest;

	limit = limit_named(limits, word, &rest);
	if (limit == NULL || limit->count != LIMIT_UNSET)
		return (false);
	if (strcmp(rest, "off") == 0)
		limit->count = LIMIT_NONE;
	else if (!rate_parse(rest, &limit->count, &limit->period))
		return (false);
	return (true);
}

bool
alarm_parse(const char *text, struct alarm_limits *limits)
{
	char   word[WORD_MAX];
	size_t len, n = 0;

	memset(limits, 0, sizeof(*limits));
	for (text += strspn(text, " "); *text != '\0';
	    text += len + strspn(text + len, " ")) {
		len = strcspn(text, " ");
		if (len >= sizeof(word))
			return (false);
		memcpy(word, text, len);
		word[len] = '\0';
		if (!parse_word(limits, word))
			return (false);
		n++;
	}
	return (n > 0);
}

void
alarm_take(struct alarm_limits *limits, const struct alarm_limits *others)
{
	size_t i;

	for (i = 0; i < ALARM_KINDS; i++)
		if (limits->of[i].count == LIMIT_UNSET)
			limits->of[i] = others->of[i];
}
