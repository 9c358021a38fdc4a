/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * Our reading of header sections: each line of standard input is one, in
 * hexadecimal, its lines ended by LF; a line of output is the reason why it
 * is blocked, or "pass", the domains found, and their addresses: "*" stands
 * for any local part.
 */

#include <sys/types.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "header.h"

#define LONGEST (1 << 20) /* as smtpd's lines, LINEIO_MAX */

/* Puts a leading dot before another, as a client does. */
static void
take_line(struct header *h, const char *line, size_t len)
{
	char *stuffed;

	if (len == 0 || len > LONGEST || line[0] != '.') {
		header_line(h, line, len);
		return;
	}
	if ((stuffed = malloc(len + 1)) == NULL)
		abort();
	stuffed[0] = '.';
	memcpy(stuffed + 1, line, len);
	header_line(h, stuffed, len + 1);
	free(stuffed);
}

static void
take_section(struct header *h, const char *text, size_t len)
{
	const char *end = text + len, *nl;

	while (text < end) {
		if ((nl = memchr(text, '\n', (size_t)(end - text))) == NULL)
			nl = end;
		take_line(h, text, (size_t)(nl - text));
		text = nl + 1;
	}
}

static void
judge(const char *text, size_t len)
{
	struct header  h = { .done = false };
	struct domains ds = { .n = 0 };
	enum reason    reason;
	size_t	       i;

	take_section(&h, text, len);
	reason = header_domains(&h, &ds);
	printf("%s", reason == REASON_NONE ? "pass" : reason_name(reason));
	for (i = 0; i < ds.n; i++)
		printf(" %s", ds.name[i]);
	for (i = 0; i < ds.n; i++)
		if ((ds.unnamed >> i & 1) != 0)
			printf(" *@%s", ds.name[i]);
	for (i = 0; i < ds.naddresses; i++)
		printf(" %s", ds.address[i].text);
	printf("\n");
	fflush(stdout);
	header_clear(&h);
}

static size_t
decode_hex(char *line)
{
	char byte[3] = "", *out = line, *p;

	for (p = line; p[0] != '\0' && p[0] != '\n'; p += 2) {
		memcpy(byte, p, 2);
		*out++ = (char)strtoul(byte, NULL, 16);
	}
	return ((size_t)(out - line));
}

int
main(void)
{
	char  *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) != -1)
		judge(line, decode_hex(line));
	free(line);
	return (0);
}
