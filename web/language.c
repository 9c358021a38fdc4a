/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "language.h"

#define WEIGHT_MAX 1000 /* weights are thousandths */

/* The file that make has put in, with a NUL behind. */
#define CATALOGUE(tag)                             \
	__asm__(".section .rodata\n"               \
		".globl smtpusers_" #tag "\n"      \
		"smtpusers_" #tag ":\n"            \
		".incbin \"web/po/" #tag ".po\"\n" \
		".byte 0\n"                        \
		".previous\n");                    \
	extern const char smtpusers_##tag[]

CATALOGUE(de);

/* The first is what the sources are written in. */
static const struct language languages[] = { { "en", "" },
	{ "de", smtpusers_de } };

#define NLANGUAGES (sizeof(languages) / sizeof(languages[0]))

struct range {
	const char *tag;
	size_t	    len;
	int	    weight; /* -1: the element is none */
};

static const char *
skip_blanks(const char *p)
{
	return (p + strspn(p, " \t"));
}

/* The digits behind "0." or "1.", three at most. */
static const char *
read_decimals(const char *p, int *weight)
{
	int unit;

	for (unit = WEIGHT_MAX / 10; unit > 0; unit /= 10) {
		if (*p < '0' || *p > '9')
			break;
		*weight += (*p++ - '0') * unit;
	}
	return (p);
}

/* ";q=0.5", or nothing; RFC 9110 12.4.2. */
static const char *
read_weight(const char *p, int *weight)
{
	*weight = WEIGHT_MAX;
	p = skip_blanks(p);
	if (*p != ';')
		return (p);
	p = skip_blanks(p + 1);
	*weight = -1;
	if (strncasecmp(p, "q=", 2) != 0 || (p[2] != '0' && p[2] != '1'))
		return (p);
	*weight = p[2] == '1' ? WEIGHT_MAX : 0;
	p += 3;
	if (*p == '.')
		p = read_decimals(p + 1, weight);
	return (skip_blanks(p));
}

/* Reads an element of the list, and returns the place of the next. */
static const char *
read_range(const char *p, struct range *range)
{
	range->tag = skip_blanks(p);
	range->len = strcspn(range->tag, " \t;,");
	p = read_weight(range->tag + range->len, &range->weight);
	if ((*p != ',' && *p != '\0') || range->len == 0 ||
	    range->weight > WEIGHT_MAX)
		range->weight = -1;
	p += strcspn(p, ",");
	return (*p == '\0' ? p : p + 1);
}

static bool
is_wildcard(const struct range *range)
{
	return (range->len == 1 && range->tag[0] == '*');
}

static bool
is_of(const struct range *range, const struct language *language)
{
	const size_t len = strlen(language->tag);

	return (range->len >= len &&
	    strncasecmp(range->tag, language->tag, len) == 0 &&
	    (range->len == len || range->tag[len] == '-'));
}

/*
 * How much a language is wanted, -1 where it is not named; and how much any
 * other is, and which one of the header's elements said so.
 */
struct wish {
	int    weight;
	size_t place;
};

static void
prefer_range(struct wish *wish, const struct range *range, size_t place)
{
	if (range->weight > wish->weight) {
		wish->weight = range->weight;
		wish->place = place;
	}
}

/* Of two that are wanted alike, the one that comes first in the header. */
static bool
is_before(const struct wish *a, const struct wish *b)
{
	return (a->weight > b->weight ||
	    (a->weight == b->weight && a->place < b->place));
}

static const struct language *
best_of(struct wish wishes[NLANGUAGES], const struct wish *any)
{
	size_t i, best = 0;

	for (i = 0; i < NLANGUAGES; i++)
		if (wishes[i].weight == -1)
			wishes[i] = *any;
	for (i = 1; i < NLANGUAGES; i++)
		if (is_before(&wishes[i], &wishes[best]))
			best = i;
	return (wishes[best].weight > 0 ? &languages[best] : &languages[0]);
}

const struct language *
language_of(const char *accept_language)
{
	struct wish  wishes[NLANGUAGES], any = { -1, 0 };
	struct range range;
	const char  *p = accept_language;
	size_t	     i, place;

	for (i = 0; i < NLANGUAGES; i++)
		wishes[i] = (struct wish){ -1, 0 };
	for (place = 0; p != NULL && *p != '\0'; place++) {
		p = read_range(p, &range);
		if (is_wildcard(&range))
			prefer_range(&any, &range, place);
		for (i = 0; i < NLANGUAGES; i++)
			if (is_of(&range, &languages[i]))
				prefer_range(&wishes[i], &range, place);
	}
	any.place = place; /* what is named comes before it */
	return (best_of(wishes, &any));
}

/*
 * The next character of strings in double quotes, one behind another, which are
 * one text; NUL behind the last.  *p is in the first of them.  Of escapes there
 * are those of a quote and of a backslash.
 */
static char
next_char(const char **p)
{
	const char *next;

	while (**p == '"') {
		next = *p + 1 + strspn(*p + 1, " \t\n");
		if (*next != '"')
			return ('\0');
		*p = next + 1;
	}
	if (**p == '\\')
		(*p)++;
	if (**p == '\0')
		return ('\0');
	return (*(*p)++);
}

static bool
is_string(const char *p, const char *text)
{
	while (*text != '\0')
		if (next_char(&p) != *text++)
			return (false);
	return (next_char(&p) == '\0');
}

/* In the first string of what a message is in this language. */
static const char *
find_text(const char *catalogue, const char *english)
{
	static const char id[] = "\nmsgid \"", str[] = "\nmsgstr \"";
	const char	 *p = catalogue;

	while ((p = strstr(p, id)) != NULL) {
		p += sizeof(id) - 1;
		if (is_string(p, english))
			break;
	}
	if (p == NULL || (p = strstr(p, str)) == NULL)
		return (NULL);
	return (p + sizeof(str) - 1);
}

char *
language_text(const struct language *language, const char *english)
{
	const char *p = find_text(language->catalogue, english);
	char	   *text = NULL, c;
	size_t	    size;
	FILE	   *fp;

	if (p == NULL || english[0] == '\0' ||
	    (fp = open_memstream(&text, &size)) == NULL)
		return (NULL);
	while ((c = next_char(&p)) != '\0')
		fputc(c, fp);
	if (fclose(fp) == 0 && size > 0)
		return (text);
	free(text);
	return (NULL);
}
