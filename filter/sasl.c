/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <netinet/in.h>

#include <bsd/string.h>
#include <resolv.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "sasl.h"

/* Decodes into buf with a NUL behind; -1 when it is not base64. */
static int
decode(const char *text, char buf[SASL_TEXT])
{
	int n = b64_pton(text, (unsigned char *)buf, SASL_TEXT - 1);

	if (n >= 0)
		buf[n] = '\0';
	return (n);
}

/* authorization identity NUL name NUL password */
static bool
parse_plain(const char *text, struct sasl *sasl)
{
	char buf[SASL_TEXT], *name, *password;
	int  n = decode(text, buf);
	bool ok = false;

	name = n < 0 ? NULL : memchr(buf, '\0', (size_t)n);
	if (name != NULL) {
		name++;
		password = memchr(name, '\0', (size_t)(buf + n - name));
		if (password != NULL && password + 1 < buf + n) {
			strlcpy(sasl->name, name, sizeof(sasl->name));
			strlcpy(sasl->password, password + 1,
			    sizeof(sasl->password));
			ok = true;
		}
	}
	explicit_bzero(buf, sizeof(buf));
	return (ok);
}

void
sasl_parse(const char *args, struct sasl *sasl)
{
	const char *text;
	size_t	    len = strcspn(args, " \t");

	memset(sasl, 0, sizeof(*sasl));
	sasl->form = SASL_HIDDEN;
	text = args + len;
	text += strspn(text, " \t");
	if (*text == '\0')
		return;
	if (len != 5)
		return;
	if (strncasecmp(args, "PLAIN", len) == 0 && parse_plain(text, sasl))
		sasl->form = SASL_CREDENTIAL;
	else if (strncasecmp(args, "LOGIN", len) == 0 &&
	    decode(text, sasl->name) > 0)
		sasl->form = SASL_NAME;
}

void
sasl_clear(struct sasl *sasl)
{
	explicit_bzero(sasl, sizeof(*sasl));
}
