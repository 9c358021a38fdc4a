/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "language.h"
#include "wording.h"

#define NAME_MAX_ 32 /* of what stands in braces */

/* The file that make has put in, with a NUL behind. */
__asm__(".section .rodata\n"
	".globl smtpusers_reasons\n"
	"smtpusers_reasons:\n"
	".incbin \"scripts/reasons.ini\"\n"
	".byte 0\n"
	".previous\n");
extern const char smtpusers_reasons[];

static const char *
next_line(const char *line)
{
	line += strcspn(line, "\n");
	return (*line == '\0' ? line : line + 1);
}

static bool
names_reason(const char *line, const char *mark, const char *reason, char end)
{
	const size_t nmark = strlen(mark), len = strlen(reason);

	return (strncmp(line, mark, nmark) == 0 &&
	    strncmp(line + nmark, reason, len) == 0 &&
	    line[nmark + len] == end);
}

/*
 * The line behind [reason], where it is the section's name or its former one.
 * NULL where there is no such section.
 */
static const char *
find_section(const char *reason)
{
	const char *line, *section = NULL;

	for (line = smtpusers_reasons; *line != '\0'; line = next_line(line)) {
		if (line[0] == '[')
			section = next_line(line);
		if (names_reason(line, "[", reason, ']') ||
		    names_reason(line, "formerly = ", reason, '\n'))
			return (section);
	}
	return (NULL);
}

/* What stands behind "part = " in a section. */
static const char *
find_part(const char *section, const char *part)
{
	const size_t len = strlen(part);
	const char  *line;

	for (line = section; *line != '\0' && *line != '[';
	    line = next_line(line))
		if (strncmp(line, part, len) == 0 &&
		    strncmp(line + len, " = ", 3) == 0)
			return (line + len + 3);
	return (NULL);
}

/* A line that begins with white space goes on with the one before. */
static void
put_unfolded(FILE *fp, const char *p)
{
	for (; *p != '\0' && (*p != '\n' || p[1] == '\t' || p[1] == ' '); p++) {
		if (*p == '\n') {
			fputc(' ', fp);
			p += strspn(p + 1, "\t ");
		} else
			fputc(*p, fp);
	}
}

static char *
unfold(const char *p)
{
	char  *text = NULL;
	size_t size;
	FILE  *fp = open_memstream(&text, &size);

	if (fp == NULL)
		return (NULL);
	put_unfolded(fp, p);
	if (fclose(fp) == 0)
		return (text);
	free(text);
	return (NULL);
}

/* Writes what is meant by {name}, and returns the place behind it. */
static const char *
put_value(FILE *fp, const char *brace, wording_value value, void *arg)
{
	char	    name[NAME_MAX_];
	size_t	    len = strcspn(brace + 1, "}");
	const char *text;

	if (brace[1 + len] == '}' && len < sizeof(name)) {
		memcpy(name, brace + 1, len);
		name[len] = '\0';
		if ((text = value(arg, name)) != NULL) {
			fputs(text, fp);
			return (brace + len + 2);
		}
	}
	fputc('{', fp);
	return (brace + 1);
}

static char *
fill_in(const char *p, wording_value value, void *arg)
{
	char  *text = NULL;
	size_t size;
	FILE  *fp = open_memstream(&text, &size);

	if (fp == NULL)
		return (NULL);
	while (*p != '\0') {
		if (*p == '{')
			p = put_value(fp, p, value, arg);
		else
			fputc(*p++, fp);
	}
	if (fclose(fp) == 0)
		return (text);
	free(text);
	return (NULL);
}

char *
wording_of(const struct language *language, const char *reason,
    const char *part, wording_value value, void *arg)
{
	const char *p = find_section(reason);
	char	   *english, *words, *text;

	if (p == NULL || (p = find_part(p, part)) == NULL ||
	    (english = unfold(p)) == NULL)
		return (NULL);
	words = language_text(language, english);
	text = fill_in(words != NULL ? words : english, value, arg);
	free(words);
	free(english);
	return (text);
}
