/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "redisfmt.h"

/* A kind, a number, a CRLF; and the CRLF behind a string. */
#define HEAD_MAX 24
#define TAIL 2

static char *
put_number(char *p, size_t n)
{
	if (n >= 10)
		p = put_number(p, n / 10);
	*p++ = (char)('0' + n % 10);
	return (p);
}

static char *
put_head(char *p, char kind, size_t n)
{
	*p++ = kind;
	p = put_number(p, n);
	*p++ = '\r';
	*p++ = '\n';
	return (p);
}

static char *
put_string(char *p, const char *text, size_t len)
{
	p = put_head(p, '$', len);
	memcpy(p, text, len);
	p += len;
	*p++ = '\r';
	*p++ = '\n';
	return (p);
}

size_t
redisfmt_size(int argc, const char **argv)
{
	size_t size = HEAD_MAX;
	int    i;

	for (i = 0; i < argc; i++)
		size += HEAD_MAX + TAIL + strlen(argv[i]);
	return (size);
}

size_t
redisfmt(int argc, const char **argv, char *buf)
{
	char *p = put_head(buf, '*', (size_t)argc);
	int   i;

	for (i = 0; i < argc; i++)
		p = put_string(p, argv[i], strlen(argv[i]));
	return ((size_t)(p - buf));
}
