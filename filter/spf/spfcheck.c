/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "spfcheck.h"
#include "spfdns.h"

#define LOOKUPS_MAX 10 /* RFC 7208, 4.6.4 */
#define SENDER "postmaster@"

/*
 * Reads the one record of a domain.  What libspf2 says of it does not tell a
 * record that does not compile from none, so the resolver is asked too.
 */
static enum spf_verdict
read_record(SPF_server_t *server, const char *domain)
{
	SPF_request_t  *req = SPF_request_new(server);
	SPF_response_t *resp;
	SPF_record_t   *record = NULL;
	SPF_errcode_t	err;
	bool		flawed;

	if (req == NULL)
		return (SPF_VERDICT_UNKNOWN);
	spfdns_begin(domain);
	req->cur_dom = domain;
	resp = SPF_response_new(req);
	err = SPF_server_get_record(server, req, resp, &record);
	spfdns_check_memory(err);
	flawed = SPF_response_errors(resp) > 0;
	if (record != NULL)
		SPF_record_free(record);
	SPF_response_free(resp);
	SPF_request_free(req);

	if (spfdns_failures() > 0)
		return (SPF_VERDICT_UNKNOWN);
	if (err == SPF_E_MULTIPLE_RECORDS)
		return (SPF_VERDICT_MULTIPLE);
	if (spfdns_record()[0] == '\0')
		return (SPF_VERDICT_NONE);
	if (err != SPF_E_SUCCESS || flawed)
		return (SPF_VERDICT_SYNTAX);
	return (SPF_VERDICT_OK);
}

/* A walk through the records that a record refers to. */
struct walk {
	const struct spf_orders *check;
	unsigned int		 lookups; /* counted as 4.6.4 has it */
	size_t			 n;
	char			 seen[LOOKUPS_MAX + 1][DOMAIN_TEXT];
	uint32_t		 ttl;
	bool			 unknown;
};

static bool
is_seen(const struct walk *w, const char *domain)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		if (strcmp(w->seen[i], domain) == 0)
			return (true);
	return (false);
}

static bool
is_wanted(const struct walk *w, const char *domain)
{
	size_t i;

	for (i = 0; i < w->check->nincludes; i++)
		if (strcmp(w->check->includes[i], domain) == 0)
			return (true);
	return (false);
}

static bool
starts_with(const char *term, size_t len, const char *what)
{
	return (len >= strlen(what) &&
	    strncasecmp(term, what, strlen(what)) == 0);
}

/* Whether a term is the mechanism "all", whatever its qualifier. */
static bool
is_all(const char *term, size_t len)
{
	if (len > 0 && strchr("+-?~", *term) != NULL) {
		term++;
		len--;
	}
	return (len == 3 && strncasecmp(term, "all", 3) == 0);
}

/*
 * Takes the domain that a term refers to, include: with the qualifier "+" or
 * redirect=; true when it is a wanted one.  A name with macros depends on the
 * sender and is none of ours.
 */
static bool
take_term(struct walk *w, const char *term, size_t len, bool redirects)
{
	char   domain[DOMAIN_TEXT];
	size_t skip;

	if (redirects && starts_with(term, len, "redirect="))
		skip = strlen("redirect=");
	else if (starts_with(term, len, "include:"))
		skip = strlen("include:");
	else if (starts_with(term, len, "+include:"))
		skip = strlen("+include:");
	else
		return (false);
	if (++w->lookups > LOOKUPS_MAX ||
	    !domain_underscored(term + skip, len - skip, domain))
		return (false);
	if (is_wanted(w, domain))
		return (true);
	if (!is_seen(w, domain))
		strlcpy(w->seen[w->n++], domain, DOMAIN_TEXT);
	return (false);
}

/*
 * Queues the domains that a record refers to; true when one is wanted.  What
 * stands behind "all" is never reached, nor is redirect= where it stands at
 * all (RFC 7208, 5.1 and 6.1).
 */
static bool
follow(struct walk *w, const char *record)
{
	const char *term;
	size_t	    len;
	bool	    has_all = false;

	for (term = record; *term != '\0' && !has_all;
	    term += len + strspn(term + len, " ")) {
		len = strcspn(term, " ");
		has_all = is_all(term, len);
	}
	for (term = record; *term != '\0';
	    term += len + strspn(term + len, " ")) {
		len = strcspn(term, " ");
		if (is_all(term, len))
			break;
		if (take_term(w, term, len, !has_all))
			return (true);
	}
	return (false);
}

static enum spf_verdict
check_includes(SPF_server_t *server, const struct spf_orders *check,
    const char *domain, uint32_t *ttl)
{
	struct walk	 w = { .check = check, .n = 1, .ttl = *ttl };
	char		 record[SPFDNS_RECORD];
	enum spf_verdict verdict;
	size_t		 i;
	bool		 found;

	strlcpy(w.seen[0], domain, DOMAIN_TEXT);
	strlcpy(record, spfdns_record(), sizeof(record));
	found = follow(&w, record);
	for (i = 1; !found && i < w.n; i++) {
		verdict = read_record(server, w.seen[i]);
		if (verdict == SPF_VERDICT_UNKNOWN)
			w.unknown = true;
		if (spfdns_ttl() < w.ttl)
			w.ttl = spfdns_ttl();
		if (verdict != SPF_VERDICT_OK)
			continue;
		strlcpy(record, spfdns_record(), sizeof(record));
		found = follow(&w, record);
	}
	*ttl = w.ttl;
	if (found)
		return (SPF_VERDICT_OK);
	return (w.unknown ? SPF_VERDICT_UNKNOWN : SPF_VERDICT_NOT_INCLUDED);
}

static bool
set_address(SPF_request_t *req, const struct netaddr *na)
{
	char text[NETADDR_TEXT];

	netaddr_text(na, text);
	if (na->len == 4)
		return (SPF_request_set_ipv4_str(req, text) == SPF_E_SUCCESS);
	return (SPF_request_set_ipv6_str(req, text) == SPF_E_SUCCESS);
}

static enum spf_verdict
check_relay(SPF_server_t *server, const char *domain,
    const struct netaddr *relay)
{
	SPF_request_t  *req = SPF_request_new(server);
	SPF_response_t *resp = NULL;
	SPF_result_t	result = SPF_RESULT_TEMPERROR;
	char		sender[sizeof(SENDER) + DOMAIN_TEXT];

	if (req == NULL)
		return (SPF_VERDICT_UNKNOWN);
	snprintf(sender, sizeof(sender), SENDER "%s", domain);
	if (set_address(req, relay) &&
	    SPF_request_set_helo_dom(req, domain) == SPF_E_SUCCESS &&
	    SPF_request_set_env_from(req, sender) == 0) {
		spfdns_check_memory(SPF_request_query_mailfrom(req, &resp));
		if (resp != NULL)
			result = SPF_response_result(resp);
	}
	if (resp != NULL)
		SPF_response_free(resp);
	SPF_request_free(req);
	if (result == SPF_RESULT_PASS)
		return (SPF_VERDICT_OK);
	return (result == SPF_RESULT_TEMPERROR || spfdns_failures() > 0
		? SPF_VERDICT_UNKNOWN
		: SPF_VERDICT_NOT_PASS);
}

static enum spf_verdict
check_relays(SPF_server_t *server, const struct spf_orders *check,
    const char *domain, uint32_t *ttl)
{
	enum spf_verdict verdict = SPF_VERDICT_OK;
	size_t		 i;

	for (i = 0; verdict == SPF_VERDICT_OK && i < check->nrelays; i++) {
		verdict = check_relay(server, domain, &check->relays[i]);
		if (spfdns_ttl() < *ttl)
			*ttl = spfdns_ttl();
	}
	return (verdict);
}

void
spfcheck(SPF_server_t *server, const struct spf_orders *check,
    const char *domain, struct spf_answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	strlcpy(answer->domain, domain, sizeof(answer->domain));
	answer->verdict = read_record(server, domain);
	answer->ttl = spfdns_ttl();
	strlcpy(answer->record, spfdns_record(), sizeof(answer->record));
	if (answer->verdict != SPF_VERDICT_OK)
		return;
	if (check->mode == SPF_INCLUDE)
		answer->verdict = check_includes(server, check, domain,
		    &answer->ttl);
	else if (check->mode == SPF_PASS)
		answer->verdict = check_relays(server, check, domain,
		    &answer->ttl);
}
