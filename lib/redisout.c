/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>

#include "redisfmt.h"
#include "redisout.h"
#include "stream.h"

#define ROOM_MIN (16 * 1024)
#define ROOM_MAX (16 << 20)

void
redisout_wipe(struct redisout *out)
{
	if (out->buf != NULL)
		freezero(out->buf, out->size);
	memset(out, 0, sizeof(*out));
}

static bool
reserve(struct redisout *out, size_t n)
{
	size_t size = out->size > 0 ? out->size : ROOM_MIN;
	char  *buf;

	if (out->size - out->len >= n)
		return (true);
	while (size - (out->len - out->off) < n)
		size *= 2;
	if (size > ROOM_MAX || (buf = malloc(size)) == NULL)
		return (false);
	out->len -= out->off;
	if (out->buf != NULL) {
		memcpy(buf, out->buf + out->off, out->len);
		freezero(out->buf, out->size);
	}
	out->buf = buf;
	out->size = size;
	out->off = 0;
	return (true);
}

bool
redisout_add(struct redisout *out, int argc, const char **argv)
{
	if (!reserve(out, redisfmt_size(argc, argv)))
		return (false);
	out->len += redisfmt(argc, argv, out->buf + out->len);
	return (true);
}

ssize_t
redisout_send(struct redisout *out, struct stream *stream)
{
	ssize_t n = 0;

	while (out->off < out->len) {
		n = stream_write(stream, out->buf + out->off,
		    out->len - out->off);
		if (n < 0)
			return (n);
		explicit_bzero(out->buf + out->off, (size_t)n);
		out->off += (size_t)n;
	}
	out->off = out->len = 0;
	if (out->size > ROOM_MIN)
		redisout_wipe(out);
	return (n);
}
