/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "place.h"

#define SOCKET_PATH 107 /* sockaddr_un's, without the NUL */
#define SENTINEL_PORT 26379
#define CLUSTER_PORT 6379

static bool
parse_port(const char *text, size_t len, uint16_t *port)
{
	unsigned long n = 0;
	size_t	      i;

	for (i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || n > UINT16_MAX)
			return (false);
		n = n * 10 + (unsigned long)(text[i] - '0');
	}
	*port = (uint16_t)n;
	return (n != 0 && n <= UINT16_MAX);
}

bool
place_parse_host(const char *text, size_t len, char host[PLACE_HOST],
    uint16_t *port)
{
	const char *end = text + len, *colon = memrchr(text, ':', len);

	/* The last colon of an address in brackets is the address's. */
	if (colon != NULL && end[-1] != ']') {
		if (!parse_port(colon + 1, (size_t)(end - colon) - 1, port))
			return (false);
		end = colon;
	} else if (*port == 0)
		return (false);
	if (text < end && text[0] == '[' && end[-1] == ']') {
		text++;
		end--;
	} else if (memchr(text, ':', (size_t)(end - text)) != NULL)
		return (false);
	len = (size_t)(end - text);
	if (len == 0 || len >= PLACE_HOST)
		return (false);
	memcpy(host, text, len);
	host[len] = '\0';
	return (strpbrk(host, "@/[]") == NULL);
}

/* What stands behind a scheme; NULL when it is another. */
static const char *
behind(const char *text, const char *scheme)
{
	size_t len = strlen(scheme);

	return (strncmp(text, scheme, len) == 0 ? text + len : NULL);
}

static bool
parse_one(struct places *places, const char *text)
{
	struct place *place = &places->at[0];
	const char   *rest;

	places->n = 1;
	if ((rest = behind(text, "unix:")) != NULL) {
		place->transport = REDIS_UNIX;
		if (rest[0] != '/' || strlen(rest) > SOCKET_PATH)
			return (false);
		strlcpy(place->host, rest, sizeof(place->host));
		return (true);
	}
	if ((rest = behind(text, "tcp:")) != NULL)
		place->transport = REDIS_TCP;
	else if ((rest = behind(text, "tls:")) != NULL)
		place->transport = REDIS_TLS;
	else
		return (false);
	return (place_parse_host(rest, strlen(rest), place->host,
	    &place->port));
}

/* Somebody named twice would have two votes. */
static bool
named_before(const struct places *places)
{
	size_t i;

	for (i = 0; i + 1 < places->n; i++)
		if (place_equal(&places->at[i], &places->at[places->n - 1]))
			return (true);
	return (false);
}

static bool
parse_list(struct places *places, enum redis_transport transport, uint16_t port,
    const char *text)
{
	struct place *place;
	size_t	      len;

	for (;;) {
		if (places->n == PLACES_MAX)
			return (false);
		place = &places->at[places->n++];
		place->transport = transport;
		place->port = port;
		len = strcspn(text, ",");
		if (!place_parse_host(text, len, place->host, &place->port) ||
		    named_before(places))
			return (false);
		if (text[len] == '\0')
			return (true);
		text += len + 1;
	}
}

/* NAME@; returns what is behind it. */
static const char *
parse_name(struct places *places, const char *text)
{
	static const char ok[] = "abcdefghijklmnopqrstuvwxyz"
				 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
	size_t		  len = strspn(text, ok);

	if (len == 0 || len >= PLACE_NAME || text[len] != '@')
		return (NULL);
	memcpy(places->name, text, len);
	return (text + len + 1);
}

bool
places_parse(struct places *places, const char *text)
{
	enum redis_transport transport = REDIS_TCP;
	const char	    *rest;

	memset(places, 0, sizeof(*places));
	if ((rest = behind(text, "sentinel")) != NULL)
		places->topology = REDIS_SENTINEL;
	else if ((rest = behind(text, "cluster")) != NULL)
		places->topology = REDIS_CLUSTER;
	else
		return (parse_one(places, text));
	if (behind(rest, "+tls") != NULL) {
		transport = REDIS_TLS;
		rest += 4;
	}
	if (*rest++ != ':')
		return (false);
	if (places->topology == REDIS_CLUSTER)
		return (parse_list(places, transport, CLUSTER_PORT, rest));
	rest = parse_name(places, rest);
	return (rest != NULL &&
	    parse_list(places, transport, SENTINEL_PORT, rest));
}

const char *
place_text(const struct place *place, char buf[PLACE_TEXT])
{
	const bool ip6 = strchr(place->host, ':') != NULL;

	if (place->transport == REDIS_UNIX)
		snprintf(buf, PLACE_TEXT, "%s", place->host);
	else
		snprintf(buf, PLACE_TEXT, "%s%s%s:%u", ip6 ? "[" : "",
		    place->host, ip6 ? "]" : "", (unsigned int)place->port);
	return (buf);
}

bool
place_equal(const struct place *a, const struct place *b)
{
	return (a->transport == b->transport && a->port == b->port &&
	    strcasecmp(a->host, b->host) == 0);
}
