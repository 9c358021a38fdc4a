/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/* The least that a CGI program can do: a page that says nothing. */

#include <stdio.h>

int
main(void)
{
	fputs("Status: 200 OK\nContent-Type: text/html\n\n<p></p>\n", stdout);
	return (0);
}
