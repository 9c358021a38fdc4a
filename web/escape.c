/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unictype.h>
#include <unistr.h>

#include "escape.h"

static bool
is_shown(ucs4_t c)
{
	return (uc_is_print(c) && !uc_is_property_bidi_control(c) &&
	    !uc_is_property_default_ignorable_code_point(c));
}

/* False where the character can stand as it is. */
static bool
put_special(FILE *fp, char c)
{
	switch (c) {
	case '&':
		fputs("&amp;", fp);
		return (true);
	case '<':
		fputs("&lt;", fp);
		return (true);
	case '>':
		fputs("&gt;", fp);
		return (true);
	case '"':
		fputs("&quot;", fp);
		return (true);
	case '\'':
		fputs("&#39;", fp);
		return (true);
	default:
		return (false);
	}
}

void
escape_html(FILE *fp, const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t	       left = strlen(text);
	ucs4_t	       c;
	int	       len;

	for (; left > 0; p += len, left -= (size_t)len) {
		len = u8_mbtoucr(&c, p, left);
		if (len < 0) {
			len = 1;
			fprintf(fp, "\\x%02x", *p);
		} else if (!is_shown(c))
			fprintf(fp, "\\u{%04x}", c);
		else if (len > 1 || !put_special(fp, (char)*p))
			fwrite(p, 1, (size_t)len, fp);
	}
}

void
escape_json(FILE *fp, const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t	       left = strlen(text);
	ucs4_t	       c;
	int	       len;

	fputc('"', fp);
	for (; left > 0; p += len, left -= (size_t)len) {
		len = u8_mbtoucr(&c, p, left);
		if (len < 0) {
			len = 1;
			fputs("\\ufffd", fp);
		} else if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
			fprintf(fp, "\\u%04x", c);
		else
			fwrite(p, 1, (size_t)len, fp);
	}
	fputc('"', fp);
}
