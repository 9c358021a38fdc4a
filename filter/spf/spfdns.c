/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/socket.h>
#include <sys/types.h>

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netinet/in.h>

#include <bsd/string.h>
#include <netdb.h>
#include <resolv.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <spf2/spf.h>

#include "spfask.h"
#include "spfdns.h"

#define ANSWER_MAX 65536
#define TTL_MAX 86400
#define NOT_TEXT '\177'

static struct {
	char	     domain[256];
	char	     record[SPFDNS_RECORD];
	uint32_t     ttl;
	unsigned int failures;
} met;

void
spfdns_begin(const char *domain)
{
	memset(&met, 0, sizeof(met));
	met.ttl = TTL_MAX;
	strlcpy(met.domain, domain, sizeof(met.domain));
}

uint32_t
spfdns_ttl(void)
{
	return (met.ttl);
}

unsigned int
spfdns_failures(void)
{
	return (met.failures);
}

const char *
spfdns_record(void)
{
	return (met.record);
}

void
spfdns_check_memory(SPF_errcode_t err)
{
	if (err == SPF_E_NO_MEMORY)
		_exit(1);
}

static void
note_record(const char *domain, const char *text)
{
	if (met.record[0] != '\0' || strcasecmp(domain, met.domain) != 0)
		return;
	if (strncasecmp(text, "v=spf1", 6) == 0 &&
	    (text[6] == ' ' || text[6] == '\0'))
		strlcpy(met.record, text, sizeof(met.record));
}

static void
grow_record(SPF_dns_rr_t *rr, int n, size_t len)
{
	spfdns_check_memory(SPF_dns_rr_buf_realloc(rr, n, len));
}

/* Joins the strings of a TXT record, RFC 7208, 3.3. */
static bool
take_txt(SPF_dns_rr_t *rr, int n, const u_char *data, size_t len)
{
	char  *dst, *text;
	size_t part;

	grow_record(rr, n, len + 1);
	dst = rr->rr[n]->txt;
	while (len > 0) {
		part = *data++;
		len--;
		if (part > len)
			return (false);
		memcpy(dst, data, part);
		dst += part;
		data += part;
		len -= part;
	}
	*dst = '\0';
	/* Whatever stands behind a NUL belongs to the record too. */
	for (text = rr->rr[n]->txt; text < dst; text++)
		if (*text == '\0')
			*text = NOT_TEXT;
	note_record(rr->domain, rr->rr[n]->txt);
	return (true);
}

static bool
take_name(SPF_dns_rr_t *rr, int n, const ns_msg *msg, const u_char *data)
{
	char name[NS_MAXDNAME];

	if (ns_name_uncompress(ns_msg_base(*msg), ns_msg_end(*msg), data, name,
		sizeof(name)) < 0)
		return (false);
	grow_record(rr, n, strlen(name) + 1);
	memcpy(rr->rr[n]->mx, name, strlen(name) + 1);
	return (true);
}

static bool
take_addr(SPF_dns_rr_t *rr, int n, const u_char *data, size_t len, size_t want)
{
	if (len != want)
		return (false);
	grow_record(rr, n, want);
	memcpy(rr->rr[n], data, want);
	return (true);
}

static bool
take_record(SPF_dns_rr_t *rr, int n, const ns_msg *msg, const ns_rr *in)
{
	const u_char *data = ns_rr_rdata(*in);
	size_t	      len = ns_rr_rdlen(*in);

	switch (ns_rr_type(*in)) {
	case ns_t_txt:
		return (take_txt(rr, n, data, len));
	case ns_t_a:
		return (take_addr(rr, n, data, len, 4));
	case ns_t_aaaa:
		return (take_addr(rr, n, data, len, 16));
	case ns_t_mx:
		return (len > 2 && take_name(rr, n, msg, data + 2));
	case ns_t_ptr:
		return (take_name(rr, n, msg, data));
	default:
		return (false);
	}
}

/* Takes the records of the type asked for; what does not parse is skipped. */
static void
take_answer(SPF_dns_rr_t *rr, const u_char *answer, int len)
{
	ns_msg msg;
	ns_rr  in;
	int    i, n = 0;

	if (ns_initparse(answer, len, &msg) < 0) {
		rr->herrno = NO_RECOVERY;
		return;
	}
	for (i = 0; i < ns_msg_count(msg, ns_s_an); i++) {
		if (ns_parserr(&msg, ns_s_an, i, &in) < 0) {
			rr->herrno = NO_RECOVERY;
			return;
		}
		if (ns_rr_ttl(in) < met.ttl)
			met.ttl = ns_rr_ttl(in);
		if (ns_rr_class(in) == ns_c_in &&
		    ns_rr_type(in) == rr->rr_type &&
		    take_record(rr, n, &msg, &in))
			n++;
	}
	rr->num_rr = n;
	if (n == 0)
		rr->herrno = NO_DATA;
}

/* Whether the DNS can have a name: RFC 1035, 2.3.4. */
static bool
is_name(const char *name)
{
	size_t len, total = 0;

	for (;;) {
		len = strcspn(name, ".");
		total += len + 1;
		if (len == 0 || len > NS_MAXLABEL || total > NS_MAXCDNAME - 1)
			return (false);
		name += len;
		if (name[0] == '\0' || name[1] == '\0')
			return (true);
		name++;
	}
}

static SPF_dns_rr_t *
lookup(SPF_dns_server_t *dns, const char *domain, ns_type type, int cache)
{
	static u_char answer[ANSWER_MAX];
	SPF_dns_rr_t *rr;
	int	      len;

	(void)cache;
	rr = SPF_dns_rr_new_init(dns, domain, type, 0, 0);
	if (rr == NULL)
		spfdns_check_memory(SPF_E_NO_MEMORY);
	if (type == ns_t_spf) {
		rr->herrno = NO_DATA;
		return (rr);
	}
	if (!is_name(domain)) {
		rr->herrno = HOST_NOT_FOUND;
		return (rr);
	}
	len = spfask(domain, type, answer, sizeof(answer));
	if (len < 0)
		rr->herrno = -len;
	else
		take_answer(rr, answer, len);
	if (rr->herrno == TRY_AGAIN || rr->herrno == NO_RECOVERY)
		met.failures++;
	return (rr);
}

static void
free_dns(SPF_dns_server_t *dns)
{
	free(dns);
}

SPF_dns_server_t *
spfdns_new(int timeout)
{
	SPF_dns_server_t *dns;

	/* Time left for what follows from an answer. */
	spfask_init(timeout < 2000 ? 1000 : timeout - 1000);
	if ((dns = calloc(1, sizeof(*dns))) == NULL)
		return (NULL);
	dns->destroy = free_dns;
	dns->lookup = lookup;
	dns->name = "smtpusers";
	return (dns);
}
