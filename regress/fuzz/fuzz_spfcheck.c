/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * What the DNS may say to a worker: the answers to its questions one after
 * another, each with its length in front, as a record's text or as a whole
 * message in the place of spfask.h.
 */

#include <sys/types.h>

#include <arpa/nameser.h>
#include <netinet/in.h>

#include <netdb.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "spfask.h"
#include "spfcheck.h"
#include "spfdns.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

#define RAW 0x80 /* in the first byte of an answer */

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const uint8_t *left;
static size_t	      nleft;

static uint8_t *
put16(uint8_t *p, size_t v)
{
	*p++ = (uint8_t)(v >> 8);
	*p++ = (uint8_t)v;
	return (p);
}

/* A record of the type asked for, whose data, if TXT, is in strings. */
static int
put_answer(uint8_t *answer, const char *name, int type, const uint8_t *data,
    size_t len)
{
	uint8_t *p = answer, *rdlen, *rdata;
	size_t	 part;
	int	 n;

	memset(p, 0, NS_HFIXEDSZ);
	p[2] = 0x85;
	p[3] = 0x80;
	p[5] = p[7] = 1;
	p += NS_HFIXEDSZ;
	if ((n = ns_name_compress(name, p, NS_MAXCDNAME, NULL, NULL)) < 0)
		return (-1);
	p = put16(put16(p + n, (size_t)type), ns_c_in);
	p = put16(put16(put16(p, 0xc00c), (size_t)type), ns_c_in);
	p = put16(put16(p, 0), len & 0xff);
	rdlen = p;
	rdata = p += 2;
	for (; len > 0; len -= part) {
		part = len > 255 ? 255 : len;
		if (type == ns_t_txt)
			*p++ = (uint8_t)part;
		memcpy(p, data, part);
		p += part;
		data += part;
	}
	put16(rdlen, (size_t)(p - rdata));
	return ((int)(p - answer));
}

void
spfask_init(int timeout_ms)
{
	(void)timeout_ms;
}

int
spfask(const char *name, int type, uint8_t *answer, size_t size)
{
	const uint8_t *data = left + 2;
	size_t	       len;
	int	       n, flags;

	CHECK(size >= 65535);
	if (nleft < 2)
		return (-HOST_NOT_FOUND);
	flags = left[0];
	len = (size_t)(flags & 0x0f) << 8 | left[1];
	if (len > nleft - 2)
		len = nleft - 2;
	left += 2 + len;
	nleft -= 2 + len;
	if (flags & RAW) {
		memcpy(answer, data, len);
		return ((int)len);
	}
	if (flags & 0x40)
		return (flags & 0x10 ? -TRY_AGAIN : -NO_DATA);
	n = put_answer(answer, name, type, data, len);
	return (n < 0 ? -NO_RECOVERY : n);
}

static void
check_answer(const struct spf_orders *check, const struct spf_answer *a)
{
	CHECK(a->verdict <= SPF_VERDICT_UNKNOWN);
	CHECK(memchr(a->record, '\0', sizeof(a->record)) != NULL);
	CHECK(a->record[0] == '\0' || strncasecmp(a->record, "v=spf1", 6) == 0);
	if (a->verdict == SPF_VERDICT_NONE)
		CHECK(a->record[0] == '\0');
	if (a->verdict == SPF_VERDICT_OK)
		CHECK(a->record[0] != '\0');
	if (a->verdict == SPF_VERDICT_NOT_INCLUDED)
		CHECK(check->mode == SPF_INCLUDE);
	if (a->verdict == SPF_VERDICT_NOT_PASS)
		CHECK(check->mode == SPF_PASS);
}

static struct spf_orders check = { .nincludes = 1,
	.includes = { "_spf.p.test" },
	.nrelays = 2 };
static SPF_server_t	*server;

static void
start(void)
{
	SPF_dns_server_t *dns = spfdns_new(1000);

	CHECK(dns != NULL);
	CHECK((server = SPF_server_new_dns(dns, 0)) != NULL);
	CHECK(netaddr_parse("192.0.2.25", &check.relays[0]));
	CHECK(netaddr_parse("2001:db8::25", &check.relays[1]));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum spf_mode modes[] = { SPF_PUBLISHED, SPF_INCLUDE,
		SPF_PASS, SPF_PASS };
	struct spf_answer	   answer;

	if (server == NULL)
		start();
	if (size < 1)
		return (0);
	check.mode = modes[data[0] & 3];
	left = data + 1;
	nleft = size - 1;
	spfcheck(server, &check, "a.test", &answer);
	check_answer(&check, &answer);
	return (0);
}
