/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "domain.h"

#define KEY_LEN 32
#define TEXT_MAX 4096

static uint8_t key[KEY_LEN];
static EVP_MD *sha256;

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

/* Once, since to find it takes longer than to use it. */
static bool
prepare(void)
{
	if (sha256 == NULL &&
	    (sha256 = EVP_MD_fetch(NULL, "SHA256", NULL)) != NULL)
		arc4random_buf(key, sizeof(key));
	return (sha256 != NULL);
}

/* Nobody sees a digest, so the key in front of the text is as good as HMAC. */
void
digest_strings(uint8_t digest[DIGEST_LEN], size_t n, const char *const *strings)
{
	uint8_t text[KEY_LEN + TEXT_MAX], md[EVP_MAX_MD_SIZE];
	size_t	len = 0;

	if (prepare())
		len = join(text + KEY_LEN, TEXT_MAX, n, strings);
	memcpy(text, key, KEY_LEN);
	if (len == 0 ||
	    EVP_Digest(text, KEY_LEN + len, md, NULL, sha256, NULL) != 1)
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
