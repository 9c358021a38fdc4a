/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SASL_H
#define SASL_H

/*
 * Reads the credential in the arguments of AUTH, RFC 4954, with the mechanisms
 * PLAIN (RFC 4616) and LOGIN.  Decodes exactly as smtpd does, so that both see
 * the same user.
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

/* Reads the arguments.  SASL_HIDDEN also if smtpd will refuse them itself. */
void sasl_parse(const char *args, struct sasl *);

/* Wipes what it holds. */
void sasl_clear(struct sasl *);

#endif /* SASL_H */
