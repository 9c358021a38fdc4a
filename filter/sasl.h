/*
 * Copyright (c) 2026 The smtpusers authors
 *
 * Permission to use, copy, modify, and distribute this software for any
 * purpose with or without fee is hereby granted, provided that the above
 * copyright notice and this permission notice appear in all copies.
 *
 * THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
 * WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
 * MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
 * ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
 * WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
 * ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
 * OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
 */

#ifndef SASL_H
#define SASL_H

/*
 * What the arguments of AUTH show of a credential: RFC 4954 with the
 * mechanisms PLAIN (RFC 4616) and LOGIN, decoded exactly as smtpd decodes
 * them, so that both speak of the same user.
 */

enum sasl_form {
	SASL_HIDDEN,	/* the client will send it later, or never */
	SASL_NAME,	/* LOGIN with the name */
	SASL_CREDENTIAL /* PLAIN with name and password */
};

#define SASL_TEXT 1024

struct sasl {
	enum sasl_form form;
	char	       name[SASL_TEXT];
	char	       password[SASL_TEXT];
};

/* Reads the arguments.  What smtpd will refuse by itself is SASL_HIDDEN. */
void sasl_parse(const char *args, struct sasl *);

/* Wipes what it holds. */
void sasl_clear(struct sasl *);

#endif /* SASL_H */
