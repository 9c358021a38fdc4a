/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <bsd/stdlib.h>
#include <hiredis/hiredis.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "redisread.h"

#define ROOM_MIN (16 * 1024)
#define LINE_LONGEST (64 * 1024)
#define BULK_MAX (512LL << 20) /* Redis's own limit */
#define NODES_MIN 64

/*
 * Twice over the bytes: first to see where the reply ends, which goes on where
 * it stopped when there are more of them; then, all being there, to make it.
 */
struct redisread {
	char  *buf;
	size_t size;
	size_t off; /* of the reply under way */
	size_t len; /* of all that is held */

	/* Of the reply under way: */
	size_t scanned; /* bytes seen so far */
	size_t items;	/* strings, numbers, arrays still to come */
	size_t payload; /* bytes of a string still to come, with its CRLF */
	size_t nodes;	/* elements */
	size_t total;	/* bytes, with those that were let go of */
	bool   large;

	/* What a reply is made of. */
	redisReply  *node;
	redisReply **element;
	size_t	     capacity;
	size_t	     used;
	redisReply   reply;
	char	    *at; /* in making it */
};

static void
begin_reply(struct redisread *r)
{
	r->scanned = r->payload = r->nodes = r->total = 0;
	r->items = 1;
	r->large = false;
}

struct redisread *
redisread_new(void)
{
	struct redisread *r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return (NULL);
	if ((r->buf = malloc(ROOM_MIN)) == NULL) {
		free(r);
		return (NULL);
	}
	r->size = ROOM_MIN;
	begin_reply(r);
	return (r);
}

void
redisread_free(struct redisread *r)
{
	if (r == NULL)
		return;
	freezero(r->buf, r->size);
	free(r->node);
	free(r->element);
	freezero(r, sizeof(*r));
}

/* Wipes what has been seen, and goes behind it. */
static void
let_go(struct redisread *r)
{
	explicit_bzero(r->buf + r->off, r->scanned);
	r->off += r->scanned;
	r->scanned = 0;
	if (r->off == r->len)
		r->off = r->len = 0;
}

static bool
resize(struct redisread *r, size_t size)
{
	char *buf;

	if ((buf = malloc(size)) == NULL)
		return (false);
	memcpy(buf, r->buf, r->len);
	freezero(r->buf, r->size);
	r->buf = buf;
	r->size = size;
	return (true);
}

/* Moves what is held to the front, leaving nothing where it was. */
static void
compact(struct redisread *r)
{
	size_t held = r->len - r->off;

	if (r->off == 0)
		return;
	memmove(r->buf, r->buf + r->off, held);
	explicit_bzero(r->buf + held, r->len - held);
	r->off = 0;
	r->len = held;
}

char *
redisread_room(struct redisread *r, size_t *room)
{
	compact(r);
	if (r->len == 0 && r->size > ROOM_MIN)
		(void)resize(r, ROOM_MIN);
	if (r->size - r->len < ROOM_MIN / 2 && !resize(r, r->size * 2))
		return (NULL);
	*room = r->size - r->len;
	return (r->buf + r->len);
}

void
redisread_take(struct redisread *r, size_t n)
{
	r->len += n;
}

/*
 * A number from p to a CR, as Redis writes it.  Returns what is behind it and
 * its CRLF; NULL when it is none.
 */
static const char *
read_number(const char *p, long long *number)
{
	bool	  negative = *p == '-';
	long long n = 0;

	p += negative;
	if (*p == '\r')
		return (NULL);
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_sub_overflow(n, *p - '0', &n))
			return (NULL);
	if (*p != '\r' || (!negative && n == INT64_MIN))
		return (NULL);
	*number = negative ? n : -n;
	return (p + 2);
}

/* What a line, which is all there up to its end, announces. */
static enum redisread_status
scan_head(struct redisread *r, const char *line, const char *end)
{
	long long n;

	r->items--;
	if (line[0] == '+' || line[0] == '-')
		return (REDISREAD_REPLY);
	if (read_number(line + 1, &n) != end)
		return (REDISREAD_BROKEN);
	if (line[0] == ':' || ((line[0] == '$' || line[0] == '*') && n == -1))
		return (REDISREAD_REPLY);
	if (line[0] == '$' && n >= 0 && n <= BULK_MAX) {
		r->payload = (size_t)n + 2;
		r->total += r->payload;
		return (REDISREAD_REPLY);
	}
	if (line[0] == '*' && n >= 0 &&
	    n <= (long long)(REDISREAD_ELEMENTS - r->nodes)) {
		r->nodes += (size_t)n;
		r->items += (size_t)n;
		return (REDISREAD_REPLY);
	}
	/* What else there is was not asked for: RESP3, and its pushes. */
	return (REDISREAD_BROKEN);
}

static enum redisread_status
scan_line(struct redisread *r)
{
	const char *line = r->buf + r->off + r->scanned;
	size_t	    there = r->len - r->off - r->scanned;
	const char *nl;

	if (there > LINE_LONGEST)
		there = LINE_LONGEST;
	if ((nl = memchr(line, '\n', there)) == NULL)
		return (there == LINE_LONGEST ? REDISREAD_BROKEN
					      : REDISREAD_MORE);
	if (nl - line < 2 || nl[-1] != '\r')
		return (REDISREAD_BROKEN);
	r->scanned += (size_t)(nl + 1 - line);
	r->total += (size_t)(nl + 1 - line);
	return (scan_head(r, line, nl + 1));
}

static enum redisread_status
scan_payload(struct redisread *r)
{
	size_t there = r->len - r->off - r->scanned;

	if (there > r->payload)
		there = r->payload;
	r->scanned += there;
	r->payload -= there;
	return (r->payload == 0 ? REDISREAD_REPLY : REDISREAD_MORE);
}

/* To the end of the reply, as far as it is there. */
static enum redisread_status
scan(struct redisread *r)
{
	enum redisread_status status = REDISREAD_REPLY;

	while (status == REDISREAD_REPLY && (r->items > 0 || r->payload > 0)) {
		status = r->payload > 0 ? scan_payload(r) : scan_line(r);
		if (r->total > REDISREAD_MAX)
			r->large = true;
		if (r->large)
			let_go(r);
	}
	return (status);
}

static bool
reserve_nodes(struct redisread *r, size_t n)
{
	redisReply  *node;
	redisReply **element;

	if (n < NODES_MIN)
		n = NODES_MIN;
	if (n <= r->capacity)
		return (true);
	node = calloc(n, sizeof(*node));
	element = calloc(n, sizeof(*element));
	if (node == NULL || element == NULL) {
		free(node);
		free(element);
		return (false);
	}
	free(r->node);
	free(r->element);
	r->node = node;
	r->element = element;
	r->capacity = n;
	return (true);
}

static bool make_reply(struct redisread *, redisReply *, int);

static bool
make_array(struct redisread *r, redisReply *out, size_t n, int depth)
{
	size_t i, first = r->used;

	out->type = REDIS_REPLY_ARRAY;
	out->elements = n;
	out->element = r->element + first;
	r->used += n;
	for (i = first; i < first + n; i++) {
		r->element[i] = &r->node[i];
		if (!make_reply(r, &r->node[i], depth + 1))
			return (false);
	}
	return (true);
}

/* A NUL takes the place of the CR behind a string. */
static bool
make_string(struct redisread *r, redisReply *out, int type, size_t len)
{
	out->type = type;
	out->str = r->at;
	out->len = len;
	if (r->at[len] != '\r' || r->at[len + 1] != '\n')
		return (false);
	r->at[len] = '\0';
	r->at += len + 2;
	return (true);
}

static bool
make_line(struct redisread *r, redisReply *out, int type)
{
	size_t len = (size_t)((char *)memchr(r->at, '\n', LINE_LONGEST) -
			 r->at) -
	    1;

	return (make_string(r, out, type, len));
}

/* The lines were seen to be good; the strings' ends are looked at here. */
static bool
make_reply(struct redisread *r, redisReply *out, int depth)
{
	char	    kind = *r->at++;
	const char *behind;
	long long   n = 0;

	memset(out, 0, sizeof(*out));
	if (kind == '+' || kind == '-')
		return (make_line(r, out,
		    kind == '+' ? REDIS_REPLY_STATUS : REDIS_REPLY_ERROR));
	if ((behind = read_number(r->at, &n)) == NULL)
		return (false);
	r->at += behind - r->at;
	if (kind == ':') {
		out->type = REDIS_REPLY_INTEGER;
		out->integer = n;
		return (true);
	}
	if (n == -1) {
		out->type = REDIS_REPLY_NIL;
		return (true);
	}
	if (kind == '$')
		return (make_string(r, out, REDIS_REPLY_STRING, (size_t)n));
	return (depth < REDISREAD_DEPTH &&
	    make_array(r, out, (size_t)n, depth));
}

static const redisReply *
too_large(void)
{
	static char text[] = REDIS_TOO_LARGE " the reply is too large";
	static const redisReply reply = {
		.type = REDIS_REPLY_ERROR, .str = text, .len = sizeof(text) - 1
	};

	return (&reply);
}

enum redisread_status
redisread_next(struct redisread *r, const redisReply **reply)
{
	enum redisread_status status;

	/* That which was handed out before. */
	if (r->items == 0 && r->payload == 0) {
		let_go(r);
		begin_reply(r);
	}
	if ((status = scan(r)) != REDISREAD_REPLY)
		return (status);
	*reply = r->large ? too_large() : &r->reply;
	if (r->large)
		return (REDISREAD_REPLY);
	r->used = 0;
	r->at = r->buf + r->off;
	return (reserve_nodes(r, r->nodes) && make_reply(r, &r->reply, 1)
		? REDISREAD_REPLY
		: REDISREAD_BROKEN);
}

bool
redisread_begun(const struct redisread *r)
{
	return (r->large || r->len > r->off);
}

bool
redisread_skipping(const struct redisread *r)
{
	return (r->large && (r->items > 0 || r->payload > 0));
}
