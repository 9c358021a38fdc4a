/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
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
