/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <stdlib.h>
#include <string.h>

#include "cgi.h"

#define WORD_MAX 256 /* of a name or value in the query, decoded */

static enum cgi_method
method_of(const char *method)
{
	if (method == NULL)
		return (CGI_OTHER);
	if (strcmp(method, "GET") == 0)
		return (CGI_GET);
	return (strcmp(method, "HEAD") == 0 ? CGI_HEAD : CGI_OTHER);
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	return (c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1);
}

/*
 * Decodes text[0..len) as forms encode it, a plus sign for a space.  False for
 * what is too long, holds a NUL or a '%' without its digits.
 */
static bool
decode_form(const char *text, size_t len, char word[WORD_MAX])
{
	size_t i, n = 0;
	int    high, low;

	for (i = 0; i < len; i++) {
		if (n == WORD_MAX - 1)
			return (false);
		word[n] = text[i];
		if (text[i] == '+')
			word[n] = ' ';
		if (text[i] == '%') {
			if (len - i < 3 ||
			    (high = hex_value(text[i + 1])) == -1 ||
			    (low = hex_value(text[i + 2])) == -1)
				return (false);
			word[n] = (char)(high << 4 | low);
			i += 2;
		}
		if (word[n++] == '\0')
			return (false);
	}
	word[n] = '\0';
	return (true);
}

static void
take_id(struct cgi *cgi, const char *value)
{
	if (strlen(value) == REPORT_ID &&
	    strspn(value, "0123456789") == REPORT_ID)
		memcpy(cgi->id, value, REPORT_ID + 1);
}

/* name=value; what is there twice is there as it comes last. */
static void
take_pair(struct cgi *cgi, const char *pair, size_t len)
{
	const char *equals = memchr(pair, '=', len);
	char	    name[WORD_MAX], value[WORD_MAX];

	if (equals == NULL ||
	    !decode_form(pair, (size_t)(equals - pair), name) ||
	    !decode_form(equals + 1, (size_t)(pair + len - equals) - 1, value))
		return;
	if (strcmp(name, "id") == 0)
		take_id(cgi, value);
	else if (strcmp(name, "auth") == 0 && !user_fold_name(value, cgi->auth))
		cgi->auth[0] = '\0';
}

/* Programs ask for JSON and nothing else; browsers ask for HTML first. */
static bool
prefers_json(const char *accept)
{
	const char *json, *html;

	if (accept == NULL ||
	    (json = strstr(accept, "application/json")) == NULL)
		return (false);
	html = strstr(accept, "text/html");
	return (html == NULL || json < html);
}

void
cgi_parse(struct cgi *cgi, const char *method, const char *query,
    const char *accept, const char *accept_language)
{
	size_t len;

	memset(cgi, 0, sizeof(*cgi));
	cgi->method = method_of(method);
	cgi->json = prefers_json(accept);
	cgi->language = language_of(cgi->json ? NULL : accept_language);
	while (query != NULL && *query != '\0') {
		len = strcspn(query, "&");
		take_pair(cgi, query, len);
		query += len;
		if (*query == '&')
			query++;
	}
}

void
cgi_read(struct cgi *cgi)
{
	cgi_parse(cgi, getenv("REQUEST_METHOD"), getenv("QUERY_STRING"),
	    getenv("HTTP_ACCEPT"), getenv("HTTP_ACCEPT_LANGUAGE"));
}
