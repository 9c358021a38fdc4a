/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uninorm.h>
#include <unistr.h>

#include "chars.h"
#include "completion.h"
#include "from.h"
#include "newline.h"
#include "words.h"

/* How often words may decode to words. */
#define DEPTH_MAX 3

/* What has been found. */
struct reading {
	struct domains *domains;
	char		last[DOMAIN_TEXT];
	size_t		lastlen; /* 0: none yet */
	bool		several;
	bool		plain; /* local parts begin where they seem to */
};

/* RFC 5322, 3.2.3, and what is not ASCII: what may belong to a dot-atom. */
static const bool atom[UCHAR_MAX + 1] = {
	['a' ... 'z'] = true,
	['A' ... 'Z'] = true,
	['0' ... '9'] = true,
	['!'] = true,
	['#' ... '\''] = true,
	['*'] = true,
	['+'] = true,
	['-'] = true,
	['.'] = true,
	['/'] = true,
	['='] = true,
	['?'] = true,
	['^' ... '`'] = true,
	['{' ... '~'] = true,
	[0x80 ... UCHAR_MAX] = true,
};

static bool
is_atom(char c)
{
	return (atom[(unsigned char)c]);
}

static bool
is_ascii(const char *p, const char *end)
{
	while (p < end && (unsigned char)*p < 0x80)
		p++;
	return (p == end);
}

static const char *
skip_folds(const char *p, const char *end)
{
	while (p < end && is_space(*p))
		p++;
	return (p);
}

/* Behind a comment that everybody ends at the same place; NULL: it is none. */
static const char *
skip_comment(const char *p, const char *end)
{
	for (p++; p < end && *p != ')'; p++)
		if (strchr("(\\\"", *p) != NULL)
			return (NULL);
	return (p < end ? p + 1 : NULL);
}

/* How often a character is there, before the '@' and behind a comma. */
static unsigned int
count_before(const char *start, const char *at, char c)
{
	unsigned int n = 0;

	while (at > start && at[-1] != ',')
		if (*--at == c)
			n++;
	return (n);
}

/* Whether an '@' is in a bracket, and that the first behind a comma. */
static bool
is_in_bracket(const char *start, const char *at)
{
	const char *p = at;

	while (p > start && p[-1] != '<' && p[-1] != '>')
		p--;
	return (p > start && p[-1] == '<' && count_before(start, at, '<') == 1);
}

/* Whether each '<' from here on, before a comma, begins an address in full. */
static bool
has_whole_addresses(const char *p, const char *end)
{
	bool open = false, at = false;

	for (; p < end && *p != ','; p++) {
		if (*p == '<' && open)
			return (false);
		if (*p == '<') {
			open = true;
			at = false;
		} else if (*p == '@')
			at = true;
		else if (*p == '>' && open) {
			if (!at)
				return (false);
			open = false;
		}
	}
	return (!open);
}

/* Whether there is a '<' before the comma that ends what is there. */
static bool
has_bracket(const char *p, const char *end)
{
	const char *behind;

	for (; p < end && *p != ',' && *p != '<'; p++) {
		if (*p == '(' && (behind = skip_comment(p, end)) != NULL)
			p = behind - 1;
		else if (*p == '(' || *p == '"')
			return (memchr(p, '<', (size_t)(end - p)) != NULL);
	}
	return (p < end && *p == '<');
}

/*
 * Whether an address ends where its domain does: some readers take a word
 * behind white space, a comment or another bracket for more of the domain, and
 * some do not know quotes.
 */
static bool
is_end(const char *start, const char *at, const char *p, const char *end)
{
	for (;;) {
		p = skip_folds(p, end);
		if (p == end || strchr(",;<>", *p) != NULL)
			break;
		if (*p == '"' || *p == ')')
			p++;
		else if (*p != '(' || (p = skip_comment(p, end)) == NULL)
			return (false);
	}
	if (p < end && *p == '<')
		return (count_before(start, at, '<') == 0 &&
		    has_whole_addresses(p, end));
	if (p == end || *p != '>')
		return (true);
	p++;
	if (skip_folds(p, end) == end)
		return (true);
	if (!is_in_bracket(start, at))
		return (false);
	if (has_bracket(p, end))
		return (*p == '"' && count_before(start, at, '"') % 2 == 1 &&
		    chars_word(start, end) == NULL &&
		    has_whole_addresses(p, end));
	return (is_space(*p) || strchr(",;(\")", *p) != NULL);
}

/* Whether there is something before the '@' that may be a local part. */
static bool
has_local_part(const char *start, const char *at)
{
	while (at > start && is_space(at[-1]))
		at--;
	return (at > start && (is_atom(at[-1]) || at[-1] == '"'));
}

/*
 * The local part before an '@', where every reader finds its beginning: behind
 * a '<', or where an address may begin without one.  NULL: it is not known.
 */
static const char *
find_local_part(const struct reading *r, const char *start, const char *at)
{
	const char *local = at, *p;

	while (local > start && is_atom(local[-1]))
		local--;
	if (!r->plain || chars_word(local, at) != NULL)
		return (NULL);
	if (local > start && local[-1] == '<')
		return (local);
	for (p = local; p > start && is_space(p[-1]); p--)
		continue;
	return (p == start || p[-1] == ',' ? local : NULL);
}

/* name is the one before, or a new one. */
static bool
add_author(struct reading *r, const char *name, const char *start,
    const char *at)
{
	const char *local = find_local_part(r, start, at);

	if (r->lastlen > 0 && strcmp(name, r->last) != 0)
		r->several = true;
	if (name != r->last) {
		r->lastlen = strlen(name);
		memcpy(r->last, name, r->lastlen + 1);
	}
	return (domains_add(r->domains, name, local,
	    local != NULL ? (size_t)(at - local) : 0));
}

/* Adds the domain behind an '@', and the address. */
static enum reason
read_domain(struct reading *r, const char *start, const char *at,
    const char *end)
{
	const char *from = skip_folds(at + 1, end), *p;
	char	    name[DOMAIN_TEXT];
	size_t	    len;
	bool	    ascii = true, known;

	if (!has_local_part(start, at) || from == end)
		return (REASON_FROM_AMBIGUOUS);
	if (*from == '[')
		return (REASON_ADDRESS_LITERAL);
	for (p = from; p < end && is_atom(*p); p++)
		ascii = ascii && (unsigned char)*p < 0x80;
	if (p == from)
		return (REASON_FROM_AMBIGUOUS);
	len = (size_t)(p - from);
	known = len == r->lastlen && memcmp(from, r->last, len) == 0;
	if (!known && !domain_alabel(from, len, name))
		return (REASON_DOMAIN_INVALID);
	if (!ascii)
		return (REASON_FROM_ULABEL);
	if (!is_end(start, at, p, end) ||
	    !add_author(r, known ? r->last : name, start, at))
		return (REASON_FROM_AMBIGUOUS);
	return (REASON_NONE);
}

/* Behind a quoted string that ends there to who knows no "\" as well. */
static const char *
skip_plain_string(const char *p, const char *end)
{
	bool even = true;

	for (p++; p < end && *p != '"'; p++) {
		if (*p == '\0' || strchr("@<>\n", *p) != NULL)
			return (NULL);
		if (*p != '\\')
			continue;
		p++;
		if (p == end || (*p != '"' && *p != '\\'))
			return (NULL);
		even ^= *p == '"';
	}
	return (p < end && even ? p + 1 : NULL);
}

static const char *
skip_plain_comment(const char *p, const char *end)
{
	const char *behind = skip_comment(p, end);

	if (behind == NULL)
		return (NULL);
	for (; p < behind; p++)
		if (*p == '\0' || strchr("@<>", *p) != NULL)
			return (NULL);
	return (behind);
}

/* Behind "[" and what it closes; some take what is not closed for the rest. */
static const char *
skip_plain_square(const char *p, const char *end)
{
	for (p++; p < end && *p != ']'; p++)
		if (*p == '\0' || strchr("@<>[()\"\\", *p) != NULL)
			return (NULL);
	return (p < end ? p + 1 : NULL);
}

/* Behind "<", a local part, "@", a domain and ">". */
static const char *
skip_plain_bracket(const char *p, const char *end)
{
	for (p++; p < end && is_atom(*p); p++)
		continue;
	if (p == end || *p != '@')
		return (NULL);
	for (p++; p < end && is_atom(*p); p++)
		continue;
	return (p < end && *p == '>' ? p + 1 : NULL);
}

/*
 * Whether quotes, comments and brackets are what they seem to be, and hide
 * nothing at which a reader who does not know them begins an address.
 */
static bool
has_plain_quotes(const char *p, const char *end)
{
	while (p != NULL && p < end) {
		if (*p == '"')
			p = skip_plain_string(p, end);
		else if (*p == '(')
			p = skip_plain_comment(p, end);
		else if (*p == '<')
			p = skip_plain_bracket(p, end);
		else if (*p == '[')
			p = skip_plain_square(p, end);
		else
			p = strchr("\\):]", *p) == NULL ? p + 1 : NULL;
	}
	return (p != NULL);
}

/* The same to who knows NFKC, too. */
static bool
is_plain(const char *text, const char *end)
{
	size_t	 len = (size_t)(end - text);
	uint8_t *made;
	bool	 plain;

	if (!has_plain_quotes(text, end))
		return (false);
	if (is_ascii(text, end) || u8_check((const uint8_t *)text, len) != NULL)
		return (true);
	made = u8_normalize(UNINORM_NFKC, (const uint8_t *)text, len, NULL,
	    &len);
	if (made == NULL)
		return (false);
	plain = has_plain_quotes((char *)made, (char *)made + len);
	free(made);
	return (plain);
}

/* The domains behind each '@' from a place on. */
static enum reason
read_domains(struct reading *r, const char *start, const char *end)
{
	const char *at = start;
	enum reason reason;

	r->plain = is_plain(start, end);
	while ((at = memchr(at, '@', (size_t)(end - at))) != NULL) {
		reason = read_domain(r, start, at, end);
		if (reason != REASON_NONE)
			return (reason);
		at++;
	}
	return (REASON_NONE);
}

/* U+FF20 and U+FE6B, of which some make an "@". */
static bool
has_wide_at(const char *p, const char *end)
{
	for (; (p = memchr(p, 0xef, (size_t)(end - p))) != NULL; p++)
		if (end - p > 2 &&
		    (memcmp(p, "\xef\xbc\xa0", 3) == 0 ||
			memcmp(p, "\xef\xb9\xab", 3) == 0))
			return (true);
	return (false);
}

/* Control characters of ASCII and Unicode, but for the tab and the fold. */
static bool
has_controls(const char *value, size_t len)
{
	const unsigned char *p = (const unsigned char *)value;
	size_t		     i;

	for (i = 0; i < len; i++) {
		if (p[i] >= 0x20 && p[i] < 0x7f)
			continue;
		if (p[i] < 0x80 && p[i] != '\t' && p[i] != '\n')
			return (true);
		if (p[i] == 0xc2 && i + 1 < len && p[i + 1] < 0xa0)
			return (true);
		if (p[i] == 0xe2 && i + 2 < len && p[i + 1] == 0x80 &&
		    (p[i + 2] == 0xa8 || p[i + 2] == 0xa9))
			return (true);
	}
	return (false);
}

/* Whether a quoted string ends where it seems to, also to who knows NFKC. */
static bool
is_sound(const char *text, size_t len)
{
	uint8_t *made;
	size_t	 n, i;
	bool	 sound;

	if (is_ascii(text, text + len))
		return (true);
	if (u8_check((const uint8_t *)text, len) != NULL)
		return (false);
	made = u8_normalize(UNINORM_NFKC, (const uint8_t *)text, len, NULL, &n);
	if (made == NULL)
		return (false);
	for (i = 0; i < n && strchr("\"\\<>,;", made[i]) == NULL; i++)
		continue;
	sound = i == n;
	free(made);
	return (sound);
}

/*
 * Where the value is a quoted string, in which every reader finds its end, and
 * one address in angle brackets: behind the string.  Otherwise its beginning.
 */
static const char *
skip_name(const char *value, const char *end)
{
	const char *p = skip_folds(value, end), *name, *address;

	if (p == end || *p != '"' || chars_word(p, end) != NULL)
		return (value);
	for (name = ++p; p < end && *p != '"'; p++)
		if (strchr("\\<>,;\n", *p) != NULL)
			return (value);
	if (p == end || !is_sound(name, (size_t)(p - name)))
		return (value);
	address = skip_folds(p + 1, end);
	if (address == end || *address != '<')
		return (value);
	for (p = address + 1; p < end && (is_atom(*p) || *p == '@'); p++)
		continue;
	if (p == end || *p != '>' || skip_folds(p + 1, end) != end)
		return (value);
	return (address);
}

/* Half a character to one reader, and an '@' to one who takes what is next. */
static bool
is_clear(const char *p, const char *end)
{
	while ((p = memchr(p, WORDS_MAYBE_AT, (size_t)(end - p))) != NULL) {
		p = skip_folds(p + 1, end);
		if (p < end && is_atom(*p) && (unsigned char)*p < 0x80)
			return (false);
	}
	return (true);
}

/* The same for who decodes first and parses then. */
static enum reason
read_decoded(struct reading *r, const char *value, size_t len, bool spaces)
{
	char	       text[FROM_MAX];
	struct newline newline = { 0 };
	enum words     words;
	unsigned int   depth;

	for (depth = 1;; depth++) {
		words = words_decode(value, len, spaces, text, &len);
		value = text;
		if (words == WORDS_UNCLEAR ||
		    (words == WORDS_DECODED && depth == DEPTH_MAX))
			return (REASON_FROM_ENCODED);
		if (words == WORDS_NONE || chars_word(text, text + len) == NULL)
			break;
	}
	if (has_wide_at(text, text + len) || !is_clear(text, text + len) ||
	    newline_hides_from(&newline, text, len) ||
	    read_domains(r, text, text + len) != REASON_NONE)
		return (REASON_FROM_ENCODED);
	return (REASON_NONE);
}

/* A word and nothing besides, as RFC 2047, 2, has it. */
static bool
is_strict_word(const char *p, const char *end)
{
	const char *mark;

	if (end - p < 2 || p[0] != '=' || p[1] != '?' ||
	    (mark = memchr(p + 2, '?', (size_t)(end - p - 2))) == NULL ||
	    memchr(p + 1, '=', (size_t)(mark - p - 1)) != NULL)
		return (false);
	if (end - mark < 5 || strchr("QqBb", mark[1]) == NULL || mark[2] != '?')
		return (false);
	mark = memchr(mark + 3, '?', (size_t)(end - mark - 3));
	return (mark != NULL && mark + 2 == end && mark[1] == '=');
}

/*
 * How much PHP's iconv_mime_decode() may drop from the end of a value: a byte
 * for each fold behind "=" that begins no word in full.
 */
static size_t
count_lost(const char *p, const char *end)
{
	const char *word;
	size_t	    lost = 0;
	bool	    odd = false;

	for (; p < end; p++) {
		for (word = p; p < end && !is_space(*p); p++)
			continue;
		if (memchr(word, '=', (size_t)(p - word)) != NULL &&
		    !is_strict_word(word, p))
			odd = true;
		if (p < end && *p == '\n' && odd) {
			lost++;
			odd = false;
		}
	}
	return (lost);
}

/* Whether a reader may see the last domain without its end. */
static bool
is_cut(const char *value, const char *end)
{
	const char *p;

	if (memchr(value, '\n', (size_t)(end - value)) == NULL ||
	    (p = memrchr(value, '@', (size_t)(end - value))) == NULL)
		return (false);
	for (p = skip_folds(p + 1, end); p < end && is_atom(*p); p++)
		continue;
	return (count_lost(value, end) > (size_t)(end - p));
}

/*
 * A bracket within one that is still open: PHP's mailparse takes the text from
 * an address before it to that in it for one address.
 */
static bool
nests_brackets(const char *p, const char *end)
{
	const char *at = memchr(p, '@', (size_t)(end - p));
	bool	    open = false;

	if (at == NULL || memchr(at + 1, '@', (size_t)(end - at - 1)) == NULL)
		return (false);
	for (; p < end; p++) {
		if (*p == '<' && open)
			return (true);
		if (*p == '<' || *p == '>')
			open = *p == '<';
	}
	return (false);
}

static enum reason
read_words(struct reading *r, const char *value, size_t len)
{
	const char *end = value + len, *word = chars_word(value, end);
	enum reason reason;

	if (word == NULL)
		return (REASON_NONE);
	reason = read_decoded(r, value, len, false);
	/* Only between words is it the white space that matters. */
	if (reason == REASON_NONE && chars_word(word + 2, end) != NULL)
		reason = read_decoded(r, value, len, true);
	return (reason);
}

static enum reason
read_value(struct reading *r, const char *value, size_t len)
{
	const char  *end = value + len, *start = skip_name(value, end);
	unsigned int has = chars_look(value, len);
	bool	     odd = (has & CHARS_ODD) != 0;
	enum reason  reason;

	if (odd && has_controls(value, len))
		return (REASON_FROM_AMBIGUOUS);
	if (completion_alters(value, len))
		return (memchr(value, ',', len) != NULL ? REASON_FROM_COMMA
							: REASON_FROM_ADDRESS);
	reason = read_domains(r, start, end);
	if (reason != REASON_NONE)
		return (reason);
	if (r->lastlen == 0)
		return (REASON_FROM_ADDRESS);
	if (nests_brackets(start, end))
		return (REASON_FROM_AMBIGUOUS);
	if (odd && (has_wide_at(start, end) || is_cut(value, end)))
		return (REASON_FROM_AMBIGUOUS);
	return ((has & CHARS_MARK) != 0 ? read_words(r, value, len)
					: REASON_NONE);
}

/* Whether a line that continues the value looks like a field. */
static bool
has_field(const char *value, size_t len)
{
	const char *p = value, *end = value + len, *name;

	while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		name = skip_folds(p, end);
		for (p = name; p < end && (is_alnum(*p) || *p == '-'); p++)
			continue;
		if (p > name && p < end && *p == ':')
			return (true);
	}
	return (false);
}

enum reason
from_parse(const char *value, size_t len, struct domains *domains)
{
	struct reading r;
	enum reason    reason;

	if (len > FROM_MAX)
		return (REASON_FROM_TOO_LONG);
	r.domains = domains;
	r.lastlen = 0;
	r.several = false;
	reason = read_value(&r, value, len);
	if ((reason != REASON_NONE || r.several) && has_field(value, len))
		return (REASON_FROM_FIELDS);
	return (reason);
}
