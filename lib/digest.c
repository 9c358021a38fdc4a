/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "domain.h"

#define KEY_LEN 32
#define TEXT_MAX 4096

static uint8_t key[KEY_LEN];
static bool    have_key;

/* Joins the strings with their NULs; 0 when they do not fit. */
static size_t
join(uint8_t *text, size_t size, size_t n, const char *const *strings)
{
	size_t i, len, used = 0;

	for (i = 0; i < n; i++) {
		len = strlen(strings[i]) + 1;
		if (len > size - used)
			return (0);
		memcpy(text + used, strings[i], len);
		used += len;
	}
	return (used);
}

void
digest_strings(uint8_t digest[DIGEST_LEN], size_t n, const char *const *strings)
{
	uint8_t	     text[TEXT_MAX], md[EVP_MAX_MD_SIZE];
	unsigned int mdlen;
	size_t	     len;

	if (!have_key) {
		arc4random_buf(key, sizeof(key));
		have_key = true;
	}
	len = join(text, sizeof(text), n, strings);
	if (len == 0 ||
	    HMAC(EVP_sha256(), key, sizeof(key), text, len, md, &mdlen) == NULL)
		arc4random_buf(md, sizeof(md)); /* equal to nothing */
	md[0] |= 1;
	memcpy(digest, md, DIGEST_LEN);
	explicit_bzero(text, sizeof(text));
}

void
digest_public(const char *text, char *buf, size_t size)
{
	char	     folded[TEXT_MAX];
	uint8_t	     md[EVP_MAX_MD_SIZE];
	unsigned int mdlen;
	size_t	     i;

	for (i = 0; i < sizeof(folded) && text[i] != '\0'; i++)
		folded[i] = domain_lower(text[i]);
	if (EVP_Digest(folded, i, md, &mdlen, EVP_sha256(), NULL) != 1)
		arc4random_buf(md, sizeof(md)); /* equal to nothing */
	for (i = 0; i + 1 < size; i++)
		buf[i] = "0123456789abcdef"[md[i / 2] >> (i % 2 ? 0 : 4) & 15];
	buf[i] = '\0';
}
