/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * Bytes as a server may send them, in pieces whose size the first byte says:
 * the pieces make no difference, and what is taken is what hiredis takes.
 */

#include <hiredis/hiredis.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "redisread.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_same(const redisReply *a, const redisReply *b)
{
	size_t i;

	CHECK(a->type == b->type && a->integer == b->integer &&
	    a->elements == b->elements);
	if (b->str != NULL)
		CHECK(a->len == b->len && memcmp(a->str, b->str, b->len) == 0 &&
		    a->str[a->len] == '\0');
	for (i = 0; i < b->elements; i++)
		check_same(a->element[i], b->element[i]);
}

/* Its next reply, which hiredis may refuse for reasons of its own. */
static void
check_reply(redisReader *theirs, const redisReply *ours)
{
	void *want = NULL;

	if (redisReaderGetReply(theirs, &want) != REDIS_OK)
		return;
	CHECK(want != NULL);
	check_same(ours, want);
	freeReplyObject(want);
}

/* False when nothing more can be read. */
static bool
take(struct redisread *ours, redisReader *theirs, const uint8_t *data,
    size_t len)
{
	const redisReply     *reply;
	enum redisread_status status;
	size_t		      room;
	char		     *buf = redisread_room(ours, &room);

	CHECK(buf != NULL && room >= len);
	memcpy(buf, data, len);
	redisread_take(ours, len);
	while ((status = redisread_next(ours, &reply)) == REDISREAD_REPLY)
		if (theirs->err == 0)
			check_reply(theirs, reply);
	return (status == REDISREAD_MORE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct redisread *ours = redisread_new();
	redisReader	 *theirs = redisReaderCreate();
	size_t		  piece, n;

	CHECK(ours != NULL && theirs != NULL);
	piece = len > 0 ? data[0] + 1U : 1;
	if (len > 0)
		redisReaderFeed(theirs, (const char *)data + 1, len - 1);
	for (n = 1; n < len; n += piece)
		if (!take(ours, theirs, data + n,
			len - n < piece ? len - n : piece))
			break;
	redisread_free(ours);
	redisReaderFree(theirs);
	return (0);
}
