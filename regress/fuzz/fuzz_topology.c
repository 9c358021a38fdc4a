/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * Bytes as a node of a cluster or a Sentinel may send them: what is taken for a
 * place is one, whatever the reply.
 */

#include <hiredis/hiredis.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "place.h"
#include "redisread.h"
#include "sentinels.h"
#include "slots.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const struct place from = { .transport = REDIS_TLS,
	.host = "node1.example.net",
	.port = 6379 };

/* Its host is text that ends, and was not made up. */
static void
check_place(const struct place *place)
{
	char text[PLACE_TEXT];

	CHECK(memchr(place->host, '\0', sizeof(place->host)) != NULL);
	CHECK(place->port != 0);
	CHECK(strlen(place_text(place, text)) < sizeof(text));
	CHECK(place_equal(place, place));
}

static void
on_range(void *arg, uint16_t first, uint16_t last, const struct place *place)
{
	size_t *ranges = arg;

	(*ranges)++;
	CHECK(first < SLOTS && last < SLOTS);
	CHECK(place->transport == from.transport);
	check_place(place);
}

static void
check_slots(const redisReply *reply)
{
	size_t ranges = 0;
	bool   ok = slots_read(reply, &from, on_range, &ranges);

	CHECK(ranges <= reply->elements);
	CHECK(ok || ranges < reply->elements ||
	    reply->type != REDIS_REPLY_ARRAY);
}

static void
check_redirect(const redisReply *reply)
{
	struct redirect r = slots_redirect(reply, &from);

	if (r.kind != REDIRECT_NONE)
		CHECK(reply->type == REDIS_REPLY_ERROR);
	if (r.kind == REDIRECT_MOVED || r.kind == REDIRECT_ASK) {
		CHECK(r.slot < SLOTS && r.place.transport == from.transport);
		check_place(&r.place);
	}
}

static void
check_primary(const redisReply *reply)
{
	struct place place = from;

	if (!sentinels_read(&place, reply))
		return;
	CHECK(place.transport == from.transport && place.host[0] != '\0');
	check_place(&place);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct redisread *reader = redisread_new();
	const redisReply *reply;
	size_t		  room;
	char		 *buf;

	CHECK(reader != NULL);
	while (len > 0) {
		CHECK((buf = redisread_room(reader, &room)) != NULL);
		room = room < len ? room : len;
		memcpy(buf, data, room);
		redisread_take(reader, room);
		data += room;
		len -= room;
		while (redisread_next(reader, &reply) == REDISREAD_REPLY) {
			check_slots(reply);
			check_redirect(reply);
			check_primary(reply);
		}
	}
	redisread_free(reader);
	return (0);
}
