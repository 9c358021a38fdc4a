/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef CGI_H
#define CGI_H

#include <stdbool.h>

#include "language.h"
#include "reportid.h"
#include "user.h"

/*
 * A request to a CGI program, RFC 3875, from the environment.  Everything in it
 * comes from the client and may be anything.
 */

enum cgi_method {
	CGI_GET,
	CGI_HEAD,
	CGI_OTHER
};

struct cgi {
	enum cgi_method method;
	bool		json; /* is preferred to HTML */
	/* Programs that read JSON get English. */
	const struct language *language;
	/* Of the query; "" if it is missing or invalid. */
	char id[REPORT_ID + 1];
	char auth[USER_NAME_MAX + 1];
};

/*
 * Reads REQUEST_METHOD, QUERY_STRING, HTTP_ACCEPT and HTTP_ACCEPT_LANGUAGE.
 */
void cgi_read(struct cgi *);

/* The same from texts, each of which may be NULL. */
void cgi_parse(struct cgi *, const char *method, const char *query,
    const char *accept, const char *accept_language);

#endif /* CGI_H */
