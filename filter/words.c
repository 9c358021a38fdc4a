/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "chars.h"
#include "newline.h"
#include "words.h"

enum charset {
	CHARSET_OTHER,
	CHARSET_SINGLE, /* a byte below 0x80 is ASCII */
	CHARSET_DOUBLE, /* but for one behind a byte from 0x81 on */
	CHARSET_SHIFTED /* but for those behind an escape sequence */
};

struct word {
	const char  *text;
	size_t	     len;
	const char  *end; /* behind the whole word */
	enum charset charset;
	char	     encoding; /* 'q' or 'b' */
};

struct decoding {
	char *out;
	bool  unclear;
	bool  quoted;	  /* a word in Q */
	bool  escaped_at; /* "=40", but in no word */
};

/* '#' stands for any number. */
static const struct {
	const char  *name;
	enum charset charset;
} charsets[] = {
	{ "utf-8", CHARSET_SINGLE },
	{ "utf8", CHARSET_SINGLE },
	{ "us-ascii", CHARSET_SINGLE },
	{ "ascii", CHARSET_SINGLE },
	{ "ansi_x3.4-1968", CHARSET_SINGLE },
	{ "iso-8859-#", CHARSET_SINGLE },
	{ "iso8859-#", CHARSET_SINGLE },
	{ "iso_8859-#", CHARSET_SINGLE },
	{ "iso-8859-#-i", CHARSET_SINGLE },
	{ "latin#", CHARSET_SINGLE },
	{ "windows-125#", CHARSET_SINGLE },
	{ "windows-874", CHARSET_SINGLE },
	{ "cp125#", CHARSET_SINGLE },
	{ "koi8-r", CHARSET_SINGLE },
	{ "koi8-u", CHARSET_SINGLE },
	{ "cp437", CHARSET_SINGLE },
	{ "cp85#", CHARSET_SINGLE },
	{ "cp866", CHARSET_SINGLE },
	{ "ibm437", CHARSET_SINGLE },
	{ "ibm85#", CHARSET_SINGLE },
	{ "ibm866", CHARSET_SINGLE },
	{ "tis-620", CHARSET_SINGLE },
	{ "macintosh", CHARSET_SINGLE },
	{ "x-mac-cyrillic", CHARSET_SINGLE },
	{ "x-mac-roman", CHARSET_SINGLE },
	{ "x-unknown", CHARSET_SINGLE },
	{ "unknown", CHARSET_SINGLE },
	{ "unknown-8bit", CHARSET_SINGLE },
	{ "x-user-defined", CHARSET_SINGLE },
	{ "shift_jis", CHARSET_DOUBLE },
	{ "shift-jis", CHARSET_DOUBLE },
	{ "sjis", CHARSET_DOUBLE },
	{ "x-sjis", CHARSET_DOUBLE },
	{ "windows-31j", CHARSET_DOUBLE },
	{ "cp932", CHARSET_DOUBLE },
	{ "euc-jp", CHARSET_DOUBLE },
	{ "x-euc-jp", CHARSET_DOUBLE },
	{ "gb2312", CHARSET_DOUBLE },
	{ "gb_2312-80", CHARSET_DOUBLE },
	{ "gbk", CHARSET_DOUBLE },
	{ "x-gbk", CHARSET_DOUBLE },
	{ "cp936", CHARSET_DOUBLE },
	{ "gb18030", CHARSET_DOUBLE },
	{ "big5", CHARSET_DOUBLE },
	{ "big5-hkscs", CHARSET_DOUBLE },
	{ "cp950", CHARSET_DOUBLE },
	{ "euc-kr", CHARSET_DOUBLE },
	{ "ks_c_5601-1987", CHARSET_DOUBLE },
	{ "cp949", CHARSET_DOUBLE },
	{ "windows-949", CHARSET_DOUBLE },
	{ "euc-tw", CHARSET_DOUBLE },
	{ "iso-2022-jp", CHARSET_SHIFTED },
	{ "iso-2022-jp-#", CHARSET_SHIFTED },
	{ "iso-2022-kr", CHARSET_SHIFTED },
	{ "iso-2022-cn", CHARSET_SHIFTED },
};

/* The "@" of full width, and the small one, in the double charsets. */
static const char *const wide_ats[] = { "\x81\x97", "\xa1\xf7", "\xa3\xc0",
	"\xa9\x88", "\xa2\x49", "\xa2\x4e" };

static bool
names_charset(const char *name, const char *text, size_t len)
{
	const char *end = text + len;

	for (; *name != '\0'; name++) {
		if (text == end)
			return (false);
		if (*name != '#') {
			if (*text != *name &&
			    tolower((unsigned char)*text) != *name)
				return (false);
			text++;
			continue;
		}
		if (!isdigit((unsigned char)*text))
			return (false);
		while (text < end && isdigit((unsigned char)*text))
			text++;
	}
	return (text == end);
}

/* A language may be behind a '*', RFC 2231, 5. */
static enum charset
find_charset(const char *text, size_t len)
{
	const char *star = memchr(text, '*', len);
	size_t	    i;

	if (star != NULL)
		len = (size_t)(star - text);
	for (i = 0; i < sizeof(charsets) / sizeof(charsets[0]); i++)
		if (names_charset(charsets[i].name, text, len))
			return (charsets[i].charset);
	return (CHARSET_OTHER);
}

static bool
all_space(const char *from, const char *to)
{
	while (from < to && is_space(*from))
		from++;
	return (from == to);
}

/* The value of a hexadecimal digit, or -1. */
static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	c = (char)(c | 0x20);
	return (c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1);
}

/* The byte that "=" and two digits stand for, or -1. */
static int
escaped(const char *p, const char *end)
{
	if (end - p < 3 || *p != '=' || digit(p[1]) < 0 || digit(p[2]) < 0)
		return (-1);
	return (digit(p[1]) * 16 + digit(p[2]));
}

static bool
is_special(int byte)
{
	return (byte >= 0 && byte < 0x80 && byte != ' ' && !isalnum(byte));
}

/* The next "?=", or NULL. */
static const char *
find_stop(const char *p, const char *end)
{
	while ((p = memchr(p, '?', (size_t)(end - p))) != NULL) {
		if (end - p < 2)
			return (NULL);
		if (p[1] == '=')
			return (p);
		p++;
	}
	return (NULL);
}

/*
 * Reads "=?" charset "?" encoding "?" text "?="; false where this is nothing
 * of the kind.
 */
static bool
read_word(struct decoding *d, const char *p, const char *end, struct word *w)
{
	const char *charset = p + 2, *stop;

	for (p = charset; p < end && *p != '?'; p++)
		continue;
	if (p == end || *p != '?' || end - p < 3 || p[2] != '?')
		return (false);
	w->charset = find_charset(charset, (size_t)(p - charset));
	w->encoding = (char)tolower((unsigned char)p[1]);
	w->text = p + 3;
	stop = find_stop(w->text, end);
	if (stop == NULL || w->charset == CHARSET_OTHER ||
	    (w->encoding != 'q' && w->encoding != 'b'))
		d->unclear = true;
	if (stop == NULL)
		stop = end;
	w->len = (size_t)(stop - w->text);
	w->end = stop == end ? end : stop + 2;
	/* Some begin with a word that begins within. */
	if (chars_word(w->text, w->text + w->len) != NULL ||
	    (end - stop > 2 && stop[2] == '?'))
		d->unclear = true;
	/* It may also be a '?' of the text, and an escape sequence. */
	if (stop != end && is_special(escaped(stop + 1, end)))
		d->unclear = true;
	return (true);
}

static void
decode_quoted(struct decoding *d, const struct word *w)
{
	const char *p = w->text, *end = p + w->len;
	char	   *out = d->out;
	int	    byte;

	d->quoted = true;
	for (; p < end; p++) {
		byte = escaped(p, end);
		if (byte >= 0)
			p += 2;
		else
			byte = *p == '_' ? ' ' : *p;
		*out++ = (char)byte;
	}
	d->out = out;
}

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (c - 'A');
	if (c >= 'a' && c <= 'z')
		return (c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (c - '0' + 52);
	if (c == '+')
		return (62);
	return (c == '/' ? 63 : -1);
}

/* Readers skip what is not of the alphabet, or stop at it. */
static void
decode_base64(struct decoding *d, const struct word *w)
{
	const char  *p = w->text, *end = p + w->len;
	char	    *out = d->out;
	unsigned int bits = 0, n = 0;

	while (end > p && end[-1] == '=' && w->len - (size_t)(end - p) < 2)
		end--;
	if ((end - p) % 4 == 1)
		d->unclear = true;
	for (; p < end; p++) {
		if (base64_value(*p) < 0) {
			d->unclear = true;
			continue;
		}
		bits = bits << 6 | (unsigned int)base64_value(*p);
		n += 6;
		if (n >= 8) {
			n -= 8;
			*out++ = (char)(bits >> n & 0xff);
		}
	}
	d->out = out;
}

/* Whether a domain seems to be there, to who knows nothing of the charset. */
static bool
begins_domain(const char *p, const char *end)
{
	const char *label = p;

	while (p < end && (isalnum((unsigned char)*p) || *p == '-'))
		p++;
	return (p > label && end - p > 1 && *p == '.' &&
	    isalnum((unsigned char)p[1]));
}

/* The two bytes of one character. */
static void
mask_pair(char *p, const char *end, bool wide)
{
	size_t i;

	for (i = 0; i < 2 && !wide; i++) {
		if (p[i] != '@')
			p[i] = '\x80';
		else if (!begins_domain(p + i + 1, end))
			p[i] = WORDS_MAYBE_AT;
	}
	if (wide) {
		p[0] = '@';
		p[1] = ' ';
	}
}

static bool
is_wide_at(const char *p)
{
	size_t i;

	for (i = 0; i < sizeof(wide_ats) / sizeof(wide_ats[0]); i++)
		if (memcmp(p, wide_ats[i], 2) == 0)
			return (true);
	return (false);
}

static void
mask_double(char *p, const char *end)
{
	for (; end - p > 1; p++) {
		if ((unsigned char)*p < 0x81 || (unsigned char)p[1] < 0x40)
			continue;
		mask_pair(p, end, is_wide_at(p));
		p++;
	}
}

/* The length of an escape sequence, ISO 2022, and what comes behind it. */
static size_t
read_escape(const char *p, const char *end, bool *pairs)
{
	if (*p == '\x0e' || *p == '\x0f') {
		*pairs = *p == '\x0e';
		return (1);
	}
	*pairs = end - p > 1 && p[1] == '$';
	if (*pairs && end - p > 3 && strchr("()*+", p[2]) != NULL) {
		*pairs = p[2] == '(';
		return (4);
	}
	return (end - p > 3 ? 3 : (size_t)(end - p));
}

static void
mask_shifted(char *p, const char *end)
{
	bool   pairs = false;
	size_t len;

	while (p < end) {
		if (*p == '\x1b' || *p == '\x0e' || *p == '\x0f') {
			len = read_escape(p, end, &pairs);
			memset(p, '\x80', len);
			p += len;
		} else if (pairs && end - p > 1 && *p > ' ' && p[1] > ' ') {
			mask_pair(p, end,
			    memcmp(p, "!w", 2) == 0 || memcmp(p, "#@", 2) == 0);
			p += 2;
		} else {
			pairs = pairs && *p != '\n' && *p != '\r';
			p++;
		}
	}
}

/* Control characters that are no white space. */
static bool
is_binary(const char *p, const char *end, bool shifted)
{
	for (; p < end; p++) {
		if (((unsigned char)*p >= ' ' && *p != '\x7f') || is_space(*p))
			continue;
		if (!shifted || (*p != '\x1b' && *p != '\x0e' && *p != '\x0f'))
			return (true);
	}
	return (false);
}

static void
decode_word(struct decoding *d, const struct word *w)
{
	char *from = d->out;

	if (w->encoding == 'b')
		decode_base64(d, w);
	else
		decode_quoted(d, w);
	if (is_binary(from, d->out, w->charset == CHARSET_SHIFTED))
		d->unclear = true;
	if (w->charset == CHARSET_DOUBLE)
		mask_double(from, d->out);
	else if (w->charset == CHARSET_SHIFTED)
		mask_shifted(from, d->out);
}

static bool
has_escaped_at(const char *p, const char *end)
{
	while ((p = memchr(p, '=', (size_t)(end - p))) != NULL) {
		if (escaped(p, end) == '@')
			return (true);
		p++;
	}
	return (false);
}

static void
copy(struct decoding *d, const char *from, const char *to)
{
	size_t len = (size_t)(to - from);

	if (has_escaped_at(from, to))
		d->escaped_at = true;
	memmove(d->out, from, len);
	d->out += len;
}

bool
words_may_end_line(const char *text, size_t len)
{
	const char *p = text, *end = text + len;
	int	    byte;

	while ((p = memchr(p, '=', (size_t)(end - p))) != NULL) {
		byte = escaped(p, end);
		if (byte >= 0 && newline_ends((char)byte))
			return (true);
		p++;
	}
	for (p = text; (p = memchr(p, '?', (size_t)(end - p))) != NULL; p++)
		if (end - p > 2 && p[2] == '?' && (p[1] == 'b' || p[1] == 'B'))
			return (true);
	return (false);
}

enum words
words_decode(const char *text, size_t len, bool spaces, char *out,
    size_t *outlen)
{
	struct decoding d = { out, false, false, false };
	const char     *p = text, *look = text, *end = text + len, *next;
	struct word	w;
	enum words	found = WORDS_NONE;

	while ((next = chars_word(look, end)) != NULL) {
		look = next + 2;
		if (!read_word(&d, next, end, &w))
			continue;
		if (spaces || found == WORDS_NONE || !all_space(p, next))
			copy(&d, p, next);
		decode_word(&d, &w);
		found = WORDS_DECODED;
		p = look = w.end;
	}
	copy(&d, p, end);
	*outlen = (size_t)(d.out - out);
	/* Some decode from the first word's beginning to the last one's end. */
	if (d.quoted && d.escaped_at)
		d.unclear = true;
	return (d.unclear ? WORDS_UNCLEAR : found);
}
