/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <idn2.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <uninorm.h>

#include "domain.h"

#define INPUT_MAX 1024
#define LABEL_MAX 63

char
domain_lower(char c)
{
	if (c < 'A' || c > 'Z')
		return (c);
	return ((char)(c + ('a' - 'A')));
}

/*
 * The length of the label that begins here, of letters, digits and hyphens, no
 * hyphen at either end, and whether it is all digits; 0: there is none.
 */
static size_t
label_len(const char *label, bool *digits)
{
	size_t len;
	char   c;

	*digits = true;
	for (len = 0; (c = label[len]) != '\0'; len++) {
		if ((c >= 'a' && c <= 'z') || c == '-')
			*digits = false;
		else if (c < '0' || c > '9')
			break;
	}
	if (len == 0 || len > LABEL_MAX || label[0] == '-' ||
	    label[len - 1] == '-')
		return (0);
	return (len);
}

static bool
valid_host(const char *name)
{
	size_t len, labels;
	bool   digits;

	for (labels = 1;; labels++) {
		if ((len = label_len(name, &digits)) == 0)
			return (false);
		name += len;
		if (*name == '\0')
			return (labels > 1 && !digits);
		if (*name++ != '.')
			return (false);
	}
}

/* Folds ASCII; false when there is anything but ASCII, or an A-label. */
static bool
fold_ascii(const char *text, size_t len, char *out)
{
	size_t i;
	bool   hyphen = false;

	for (i = 0; i < len; i++) {
		if ((unsigned char)text[i] >= 0x80 || text[i] == '\0')
			return (false);
		out[i] = domain_lower(text[i]);
		hyphen = hyphen || out[i] == '-';
	}
	out[len] = '\0';
	return (!hyphen ||
	    (strncmp(out, "xn--", 4) != 0 && strstr(out, ".xn--") == NULL));
}

/*
 * What IDNA2008 keeps and IDNA2003 mapped to something else, so that readers of
 * the two see different domains (RFC 5894, 7.2): sharp s, final sigma, and the
 * joiners.
 */
static bool
reads_two_ways(const char *text)
{
	static const char *const deviations[] = { "\xc3\x9f", "\xcf\x82",
		"\xe2\x80\x8c", "\xe2\x80\x8d" };
	size_t			 i;

	for (i = 0; i < sizeof(deviations) / sizeof(deviations[0]); i++)
		if (strstr(text, deviations[i]) != NULL)
			return (true);
	return (false);
}

/*
 * Lower case is the one mapping (RFC 5895, 2) that is made: others, as of full
 * width, of ideographic dots and of what is invisible, are made by some readers
 * and not by others.  A-labels are checked to be what their U-labels give.
 */
static bool
convert(const char *text, char out[DOMAIN_TEXT])
{
	uint8_t *lower, *result = NULL;
	size_t	 len;
	bool	 ok;

	lower = u8_tolower((const uint8_t *)text, strlen(text) + 1, NULL,
	    UNINORM_NFC, NULL, &len);
	if (lower == NULL)
		return (false);
	ok = !reads_two_ways((const char *)lower) &&
	    idn2_lookup_u8(lower, &result,
		IDN2_NO_TR46 | IDN2_ALABEL_ROUNDTRIP) == IDN2_OK;
	free(lower);
	if (!ok)
		return (false);
	ok = strlcpy(out, (const char *)result, DOMAIN_TEXT) < DOMAIN_TEXT;
	idn2_free(result);
	return (ok);
}

static bool
host_alabel(const char *text, size_t len, char out[DOMAIN_TEXT])
{
	char copy[INPUT_MAX];

	if (len < DOMAIN_TEXT && fold_ascii(text, len, out))
		return (valid_host(out));
	if (len >= sizeof(copy) || memchr(text, '\0', len) != NULL)
		return (false);
	memcpy(copy, text, len);
	copy[len] = '\0';
	return (convert(copy, out) && valid_host(out));
}

/* The length of the labels up to the last one with an underscore. */
static size_t
underscored_len(const char *text, size_t len)
{
	const char *last = memrchr(text, '_', len), *dot;

	if (last == NULL)
		return (0);
	dot = memchr(last, '.', (size_t)(text + len - last));
	return (dot == NULL ? len : (size_t)(dot + 1 - text));
}

bool
domain_alabel(const char *text, size_t len, char out[DOMAIN_TEXT])
{
	size_t head = underscored_len(text, len), i, start = 0;
	char   plain[DOMAIN_TEXT];
	bool   digits;

	if (head == 0)
		return (host_alabel(text, len, out));
	if (head >= DOMAIN_TEXT || !fold_ascii(text, head, out))
		return (false);
	/* A letter in its place tells whether the rest of it is a label. */
	for (i = 0; i < head; i++) {
		plain[i] = out[i];
		if (plain[i] == '_')
			plain[i] = 'a';
		if (plain[i] != '.')
			continue;
		if (label_len(plain + start, &digits) != i - start ||
		    i == start)
			return (false);
		start = i + 1;
	}
	return (start == head && host_alabel(text + head, len - head, plain) &&
	    strlcpy(out + head, plain, DOMAIN_TEXT - head) <
		DOMAIN_TEXT - head);
}

bool
domain_underscored(const char *text, size_t len, char out[DOMAIN_TEXT])
{
	char   plain[DOMAIN_TEXT] = "";
	size_t i;

	if (len > 1 && text[len - 1] == '.')
		len--;
	if (memchr(text, '_', len) == NULL)
		return (domain_alabel(text, len, out));
	if (len >= DOMAIN_TEXT)
		return (false);
	/* A letter in its place tells whether the rest of it is a name. */
	for (i = 0; i < len; i++) {
		out[i] = domain_lower(text[i]);
		plain[i] = text[i];
		if (plain[i] == '_')
			plain[i] = 'a';
	}
	out[len] = '\0';
	return (fold_ascii(plain, len, plain) && valid_host(plain));
}

void
domains_clear(struct domains *ds)
{
	ds->n = 0;
	ds->unnamed = 0;
	ds->naddresses = 0;
}

/* RFC 5322 3.2.3, with one dot at a time, and none at either end. */
static bool
is_dot_atom(const char *text, size_t len)
{
	static const char specials[] = "!#$%&'*+-/=?^_`{|}~";
	size_t		  i;
	char		  c;

	for (i = 0; i < len; i++) {
		c = domain_lower(text[i]);
		if (c == '.' && i > 0 && i + 1 < len && text[i - 1] != '.')
			continue;
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			(c != '\0' && strchr(specials, c) != NULL)))
			return (false);
	}
	return (len > 0 && len <= LOCAL_MAX);
}

/* Whether an address of the domain is in, or could be added. */
static bool
add_address(struct domains *ds, size_t domain, const char *local, size_t len)
{
	char   text[ADDRESS_TEXT];
	size_t i;

	if (local == NULL || !is_dot_atom(local, len))
		return (false);
	for (i = 0; i < len; i++)
		text[i] = domain_lower(local[i]);
	text[len] = '@';
	strlcpy(text + len + 1, ds->name[domain], sizeof(text) - len - 1);
	for (i = 0; i < ds->naddresses; i++)
		if (strcmp(ds->address[i].text, text) == 0)
			return (true);
	if (i == ADDRESSES_MAX)
		return (false);
	ds->address[i].domain = domain;
	strlcpy(ds->address[i].text, text, sizeof(ds->address[i].text));
	ds->naddresses++;
	return (true);
}

/* The place of a domain, which is added where it is not in; DOMAINS_MAX: no. */
static size_t
find_or_add(struct domains *ds, const char *name)
{
	size_t i, len;

	for (i = 0; i < ds->n; i++)
		if (strcmp(ds->name[i], name) == 0)
			return (i);
	if (i == DOMAINS_MAX || (len = strlen(name)) >= DOMAIN_TEXT)
		return (DOMAINS_MAX);
	memcpy(ds->name[ds->n++], name, len + 1);
	return (i);
}

bool
domains_add(struct domains *ds, const char *name, const char *local, size_t len)
{
	size_t i = find_or_add(ds, name);

	if (i == DOMAINS_MAX)
		return (false);
	if (!add_address(ds, i, local, len))
		ds->unnamed |= 1U << i;
	return (true);
}
