/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "slots.h"

/* CRC-16 with the polynomial 0x1021, four bits at a time. */
static uint16_t
crc16(const char *text, size_t len)
{
	static const uint16_t table[16] = { 0x0000, 0x1021, 0x2042, 0x3063,
		0x4084, 0x50a5, 0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
		0xc18c, 0xd1ad, 0xe1ce, 0xf1ef };
	unsigned int	      crc = 0, byte;
	size_t		      i;

	for (i = 0; i < len; i++) {
		byte = (unsigned char)text[i];
		crc = (crc << 4) ^ table[(crc >> 12 ^ byte >> 4) & 15];
		crc = (crc << 4) ^ table[(crc >> 12 ^ byte) & 15];
		crc &= 0xffff;
	}
	return ((uint16_t)crc);
}

uint16_t
slots_of_key(const char *key)
{
	const char *open = strchr(key, '{'), *end;

	if (open != NULL && (end = strchr(open, '}')) != NULL && end > open + 1)
		return (crc16(open + 1, (size_t)(end - open) - 1) % SLOTS);
	return (crc16(key, strlen(key)) % SLOTS);
}

/* A host that is not known stands as "?", and the server's own as nothing. */
static bool
take_host(struct place *place, const char *host, size_t len)
{
	if (len == 0)
		return (true);
	if (len >= PLACE_HOST || memchr(host, '\0', len) != NULL ||
	    strcmp(host, "?") == 0)
		return (false);
	memcpy(place->host, host, len);
	place->host[len] = '\0';
	return (true);
}

static bool
take_port(struct place *place, long long port)
{
	place->port = (uint16_t)port;
	return (port > 0 && port <= UINT16_MAX);
}

/* SLOT HOST:PORT; an IPv6 address has no brackets. */
static bool
take_slot(struct redirect *r, const char *text)
{
	const char *colon = strrchr(text, ':');
	char	   *end, host[PLACE_HOST];
	long	    slot = strtol(text, &end, 10);
	size_t	    len;

	if (end == text || *end != ' ' || slot < 0 || slot >= SLOTS ||
	    colon == NULL || colon <= end)
		return (false);
	r->slot = (uint16_t)slot;
	len = (size_t)(colon - end) - 1;
	if (len >= sizeof(host))
		return (false);
	memcpy(host, end + 1, len);
	host[len] = '\0';
	return (take_host(&r->place, host, len) &&
	    take_port(&r->place, strtol(colon + 1, NULL, 10)));
}

struct redirect
slots_redirect(const redisReply *reply, const struct place *from)
{
	static const struct {
		const char	  *word;
		enum redirect_kind kind;
	} words[] = { { "MOVED ", REDIRECT_MOVED }, { "ASK ", REDIRECT_ASK },
		{ "TRYAGAIN", REDIRECT_LATER },
		{ "CLUSTERDOWN", REDIRECT_LATER },
		{ "READONLY", REDIRECT_LEAVE },
		{ "MASTERDOWN", REDIRECT_LEAVE } };
	struct redirect r = { .kind = REDIRECT_NONE };
	size_t		i, len = 0;

	if (reply == NULL || reply->type != REDIS_REPLY_ERROR)
		return (r);
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		len = strlen(words[i].word);
		if (strncmp(reply->str, words[i].word, len) != 0)
			continue;
		r.kind = words[i].kind;
		r.place = *from;
		break;
	}
	/* Where it is, should that be unreadable, the map will tell. */
	if ((r.kind == REDIRECT_MOVED || r.kind == REDIRECT_ASK) &&
	    !take_slot(&r, reply->str + len))
		r.kind = REDIRECT_LATER;
	return (r);
}

static bool
is_slot(const redisReply *reply)
{
	return (reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0 &&
	    reply->integer < SLOTS);
}

/* {host, port, id, ...} */
static bool
take_node(struct place *place, const redisReply *node)
{
	const redisReply *host;

	if (node->type != REDIS_REPLY_ARRAY || node->elements < 2 ||
	    node->element[1]->type != REDIS_REPLY_INTEGER)
		return (false);
	host = node->element[0];
	if (host->type == REDIS_REPLY_STRING &&
	    !take_host(place, host->str, host->len))
		return (false);
	return (take_port(place, node->element[1]->integer));
}

/* {first, last, primary, replica...} */
bool
slots_read(const redisReply *reply, const struct place *from, slots_cb cb,
    void *arg)
{
	const redisReply *range;
	struct place	  place;
	size_t		  i;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY)
		return (false);
	for (i = 0; i < reply->elements; i++) {
		range = reply->element[i];
		place = *from;
		if (range->type != REDIS_REPLY_ARRAY || range->elements < 3 ||
		    !is_slot(range->element[0]) || !is_slot(range->element[1]))
			return (false);
		if (take_node(&place, range->element[2]))
			cb(arg, (uint16_t)range->element[0]->integer,
			    (uint16_t)range->element[1]->integer, &place);
	}
	return (true);
}
