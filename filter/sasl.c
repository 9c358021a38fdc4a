/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <ctype.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "sasl.h"

#define BASE64                       \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"abcdefghijklmnopqrstuvwxyz0123456789+/"
#define PACKED (SASL_TEXT / 3 * 4) /* base64 of SASL_TEXT - 1 bytes */

/* Leaves out white space, as smtpd does; how much is left, 0 for too much. */
static size_t
pack(const char *text, char packed[PACKED + 1])
{
	size_t n = 0;

	for (; *text != '\0'; text++) {
		if (isspace((unsigned char)*text))
			continue;
		if (n == PACKED)
			return (0);
		packed[n++] = *text;
	}
	packed[n] = '\0';
	return (n);
}

/* Bits that no byte is made of must be 0. */
static int
decode_packed(const char *packed, size_t len, char buf[SASL_TEXT])
{
	size_t body = strspn(packed, BASE64), pad = len - body;
	size_t n = len / 4 * 3 - pad;

	if (len % 4 != 0 || pad > 2 || strspn(packed + body, "=") != pad ||
	    EVP_DecodeBlock((unsigned char *)buf, (const unsigned char *)packed,
		(int)len) == -1)
		return (-1);
	if ((pad > 0 && buf[n] != '\0') || (pad > 1 && buf[n + 1] != '\0'))
		return (-1);
	buf[n] = '\0';
	return ((int)n);
}

/* Decodes into buf with a NUL behind; -1 when it is not base64. */
static int
decode_response(const char *text, char buf[SASL_TEXT])
{
	char   packed[PACKED + 1];
	size_t len = pack(text, packed);
	int    n = len == 0 ? -1 : decode_packed(packed, len, buf);

	explicit_bzero(packed, sizeof(packed));
	return (n);
}

/* authorization identity NUL name NUL password */
static bool
parse_plain(const char *text, struct sasl *sasl)
{
	char buf[SASL_TEXT], *name, *password;
	int  n = decode_response(text, buf);
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
	    decode_response(text, sasl->name) > 0)
		sasl->form = SASL_NAME;
}

void
sasl_clear(struct sasl *sasl)
{
	explicit_bzero(sasl, sizeof(*sasl));
}
