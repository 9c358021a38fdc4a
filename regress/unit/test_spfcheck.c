/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * What is made of the records of a domain, with a DNS of this program's own
 * in the place of spfask.h.
 */

#include <sys/types.h>

#include <arpa/nameser.h>
#include <netinet/in.h>

#include <bsd/string.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "unit.h"

#include "spfask.h"
#include "spfcheck.h"
#include "spfdns.h"

/* What a name has: TXT, or trouble. */
struct row {
	const char *name;
	const char *text;    /* NULL: what failure says */
	int	    failure; /* of netdb.h */
	uint32_t    ttl;     /* 0: 300 */
};

static const struct row zone[] = {
	{ "one.test", "v=spf1 -all", 0, 0 },
	{ "pass.test", "v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 -all", 0, 0 },
	{ "pass4.test", "v=spf1 ip4:192.0.2.25 -all", 0, 0 },
	{ "two.test", "v=spf1 -all", 0, 0 },
	{ "two.test", "v=spf1 +all", 0, 0 },
	{ "text.test", "hello", 0, 0 },
	{ "text.test", "v=spf1 -all", 0, 77 },
	{ "text.test", "v=spf10", 0, 0 },
	{ "flawed.test", "v=spf1 gibberish", 0, 0 },
	{ "flawed-late.test", "v=spf1 ip4:192.0.2.25 ip4:1.2.3 -all", 0, 0 },
	{ "later.test", NULL, TRY_AGAIN, 0 },
	{ "refused.test", NULL, NO_RECOVERY, 0 },
	{ "bare.test", NULL, NO_DATA, 0 },
	{ "_spf.provider.test", "v=spf1 ip4:192.0.2.25 -all", 0, 0 },
	{ "direct.test", "v=spf1 include:_spf.provider.test -all", 0, 500 },
	{ "upper.test", "v=spf1 Include:_SPF.PROVIDER.TEST. -all", 0, 0 },
	{ "plus.test", "v=spf1 +include:_spf.provider.test", 0, 0 },
	{ "minus.test", "v=spf1 -include:_spf.provider.test", 0, 0 },
	{ "query.test", "v=spf1 ?include:_spf.provider.test", 0, 0 },
	{ "a.test", "v=spf1 a:_spf.provider.test exp=_spf.provider.test", 0,
	    0 },
	{ "longer.test", "v=spf1 include:x._spf.provider.test -all", 0, 0 },
	{ "nested.test", "v=spf1 ip4:192.0.2.1 include:nested1.test", 0, 900 },
	{ "nested1.test", "v=spf1 redirect=direct.test", 0, 90 },
	{ "redirect.test", "v=spf1 redirect=_spf.provider.test", 0, 0 },
	{ "idn.test", "v=spf1 include:xn--bcher-kva.test -all", 0, 0 },
	{ "loop.test", "v=spf1 include:loop1.test -all", 0, 0 },
	{ "loop1.test", "v=spf1 include:loop.test include:loop1.test", 0, 0 },
	{ "lost.test", "v=spf1 include:later.test -all", 0, 0 },
	{ "lost-found.test",
	    "v=spf1 include:later.test "
	    "include:direct.test -all",
	    0, 0 },
	{ "holes.test",
	    "v=spf1 include:nowhere.test include:two.test "
	    "include:flawed.test include:direct.test -all",
	    0, 0 },
	{ "macro.test", "v=spf1 include:%{d2}.x.test include:_%{d}.test", 0,
	    0 },
	{ "labels.test", "v=spf1 include:_a..b.test", 0, 0 },
	{ "wide.test",
	    "v=spf1 include:w0.test include:w1.test include:w2.test"
	    " include:w3.test include:w4.test include:w5.test include:w6.test"
	    " include:w7.test include:w8.test include:w9.test"
	    " include:direct.test",
	    0, 0 },
};

static SPF_dns_server_t *dns;
static SPF_server_t	*server;
static char		 asked[64][256];
static size_t		 nasked;

static u_char *
put16(u_char *p, unsigned int v)
{
	*p++ = (u_char)(v >> 8);
	*p++ = (u_char)v;
	return (p);
}

static u_char *
put_record(u_char *p, const struct row *row)
{
	size_t len = strlen(row->text), part;

	p = put16(p, 0xc00c);
	p = put16(p, ns_t_txt);
	p = put16(p, ns_c_in);
	p = put16(p, 0);
	p = put16(p, row->ttl != 0 ? row->ttl : 300);
	p = put16(p, (unsigned int)(len + (len + 49) / 50));
	/* In strings as short as this, RFC 7208, 3.3. */
	for (; len > 0; len -= part) {
		part = len > 50 ? 50 : len;
		*p++ = (u_char)part;
		memcpy(p, row->text + strlen(row->text) - len, part);
		p += part;
	}
	return (p);
}

void
spfask_init(int timeout_ms)
{
	(void)timeout_ms;
}

int
spfask(const char *name, int type, uint8_t *answer, size_t size)
{
	u_char *p = answer;
	size_t	i;
	int	n = 0;

	assert_true(size >= 65535);
	if (nasked < 64)
		strlcpy(asked[nasked++], name, sizeof(asked[0]));
	memset(answer, 0, NS_HFIXEDSZ);
	answer[2] = 0x85;
	answer[3] = 0x80;
	answer[5] = 1;
	p += NS_HFIXEDSZ;
	n = ns_name_compress(name, p, size, NULL, NULL);
	if (n < 0 || strstr(name, "..") != NULL)
		return (-NO_RECOVERY);
	p = put16(put16(p + n, (unsigned int)type), ns_c_in);
	n = 0;
	for (i = 0; type == ns_t_txt && i < sizeof(zone) / sizeof(zone[0]);
	    i++) {
		if (strcasecmp(zone[i].name, name) != 0)
			continue;
		if (zone[i].text == NULL)
			return (-zone[i].failure);
		p = put_record(p, &zone[i]);
		n++;
	}
	if (n == 0)
		return (-HOST_NOT_FOUND);
	answer[7] = (u_char)n;
	return ((int)(p - answer));
}

static int
setup(void **state)
{
	(void)state;
	dns = spfdns_new(1000);
	server = dns == NULL ? NULL : SPF_server_new_dns(dns, 0);
	return (server == NULL ? -1 : 0);
}

static int
teardown(void **state)
{
	(void)state;
	SPF_server_free(server);
	SPF_dns_free(dns);
	return (0);
}

static struct spf_answer
ask(const struct spf_orders *check, const char *domain)
{
	struct spf_answer a;

	nasked = 0;
	memset(&a, 0xff, sizeof(a));
	spfcheck(server, check, domain, &a);
	return (a);
}

static size_t
times_asked(const char *name)
{
	size_t i, n = 0;

	for (i = 0; i < nasked; i++)
		n += strcasecmp(asked[i], name) == 0;
	return (n);
}

struct expected {
	const char	*domain;
	enum spf_verdict verdict;
};

static void
check_all(const struct spf_orders *check, const struct expected *e, size_t n)
{
	struct spf_answer a;

	for (; n > 0; n--, e++) {
		a = ask(check, e->domain);
		if (a.verdict != e->verdict)
			fail_msg("%s: %d, not %d", e->domain, (int)a.verdict,
			    (int)e->verdict);
	}
}

static void
test_published(void **state)
{
	static const struct spf_orders check = { .mode = SPF_PUBLISHED };
	static const struct expected   all[] = {
		  { "one.test", SPF_VERDICT_OK },
		  { "text.test", SPF_VERDICT_OK },
		  { "nowhere.test", SPF_VERDICT_NONE },
		  { "bare.test", SPF_VERDICT_NONE },
		  { "two.test", SPF_VERDICT_MULTIPLE },
		  { "flawed.test", SPF_VERDICT_SYNTAX },
		  { "flawed-late.test", SPF_VERDICT_SYNTAX },
		  { "later.test", SPF_VERDICT_UNKNOWN },
		  { "refused.test", SPF_VERDICT_UNKNOWN },
		  { "loop.test", SPF_VERDICT_OK },
		  { "lost.test", SPF_VERDICT_OK },
	};

	(void)state;
	check_all(&check, all, sizeof(all) / sizeof(all[0]));
	/* What a record refers to is of no account. */
	ask(&check, "nested.test");
	assert_int_equal(times_asked("nested.test"), nasked);
}

static void
test_record_and_ttl(void **state)
{
	static const struct spf_orders check = { .mode = SPF_PUBLISHED };
	struct spf_answer	       a;

	(void)state;
	a = ask(&check, "text.test");
	assert_string_equal(a.record, "v=spf1 -all");
	assert_int_equal(a.ttl, 77);
	a = ask(&check, "direct.test");
	assert_string_equal(a.record, "v=spf1 include:_spf.provider.test -all");
	assert_int_equal(a.ttl, 500);
	a = ask(&check, "flawed.test");
	assert_string_equal(a.record, "v=spf1 gibberish");
	a = ask(&check, "nowhere.test");
	assert_string_equal(a.record, "");
}

static void
test_include(void **state)
{
	struct spf_orders	     check = { .mode = SPF_INCLUDE,
			   .nincludes = 2,
			   .includes = { "_spf.provider.test", "xn--bcher-kva.test" } };
	static const struct expected all[] = {
		{ "direct.test", SPF_VERDICT_OK },
		{ "upper.test", SPF_VERDICT_OK },
		{ "plus.test", SPF_VERDICT_OK },
		{ "redirect.test", SPF_VERDICT_OK },
		{ "nested.test", SPF_VERDICT_OK },
		{ "idn.test", SPF_VERDICT_OK },
		{ "holes.test", SPF_VERDICT_OK },
		{ "lost-found.test", SPF_VERDICT_OK },
		{ "one.test", SPF_VERDICT_NOT_INCLUDED },
		{ "minus.test", SPF_VERDICT_NOT_INCLUDED },
		{ "query.test", SPF_VERDICT_NOT_INCLUDED },
		{ "a.test", SPF_VERDICT_NOT_INCLUDED },
		{ "longer.test", SPF_VERDICT_NOT_INCLUDED },
		{ "loop.test", SPF_VERDICT_NOT_INCLUDED },
		{ "macro.test", SPF_VERDICT_NOT_INCLUDED },
		{ "labels.test", SPF_VERDICT_NOT_INCLUDED },
		{ "wide.test", SPF_VERDICT_NOT_INCLUDED },
		{ "lost.test", SPF_VERDICT_UNKNOWN },
		{ "two.test", SPF_VERDICT_MULTIPLE },
		{ "nowhere.test", SPF_VERDICT_NONE },
		{ "flawed.test", SPF_VERDICT_SYNTAX },
		{ "later.test", SPF_VERDICT_UNKNOWN },
	};

	(void)state;
	check_all(&check, all, sizeof(all) / sizeof(all[0]));
}

/* The shortest of what was read; a report shows the domain's own record. */
static void
test_include_ttl(void **state)
{
	struct spf_orders check = { .mode = SPF_INCLUDE,
		.nincludes = 1,
		.includes = { "_spf.provider.test" } };
	struct spf_answer a;

	(void)state;
	a = ask(&check, "nested.test");
	assert_int_equal(a.ttl, 90);
	assert_string_equal(a.record,
	    "v=spf1 ip4:192.0.2.1 include:nested1.test");
}

static void
test_include_lookups(void **state)
{
	struct spf_orders check = { .mode = SPF_INCLUDE,
		.nincludes = 1,
		.includes = { "other.test" } };

	(void)state;
	ask(&check, "wide.test");
	assert_in_range(nasked, 2, 11);
	assert_int_equal(times_asked("direct.test"), 0);
	ask(&check, "loop.test");
	assert_int_equal(times_asked("loop.test"), 1);
	assert_int_equal(times_asked("loop1.test"), 1);
	/* Nothing is asked for the name that is wanted. */
	ask(&check, "direct.test");
	assert_int_equal(times_asked("_spf.provider.test"), 1);
	strlcpy(check.includes[0], "_spf.provider.test", DOMAIN_TEXT);
	ask(&check, "direct.test");
	assert_int_equal(times_asked("_spf.provider.test"), 0);
}

static void
test_pass(void **state)
{
	struct spf_orders check = { .mode = SPF_PASS, .nrelays = 2 };
	static const struct expected	 both[] = {
		{ "pass.test", SPF_VERDICT_OK },
		{ "pass4.test", SPF_VERDICT_NOT_PASS },
		{ "direct.test", SPF_VERDICT_NOT_PASS },
		{ "one.test", SPF_VERDICT_NOT_PASS },
		{ "loop.test", SPF_VERDICT_NOT_PASS },
		{ "lost.test", SPF_VERDICT_UNKNOWN },
		{ "two.test", SPF_VERDICT_MULTIPLE },
		{ "nowhere.test", SPF_VERDICT_NONE },
		{ "flawed.test", SPF_VERDICT_SYNTAX },
		{ "later.test", SPF_VERDICT_UNKNOWN },
	}, four[] = {
		{ "pass.test", SPF_VERDICT_OK },
		{ "pass4.test", SPF_VERDICT_OK },
		{ "direct.test", SPF_VERDICT_OK },
		{ "redirect.test", SPF_VERDICT_OK },
		{ "one.test", SPF_VERDICT_NOT_PASS },
	};

	(void)state;
	assert_true(netaddr_parse("192.0.2.25", &check.relays[0]));
	assert_true(netaddr_parse("2001:db8::25", &check.relays[1]));
	check_all(&check, both, sizeof(both) / sizeof(both[0]));
	check.nrelays = 1;
	check_all(&check, four, sizeof(four) / sizeof(four[0]));
}

static void
test_name(void **state)
{
	static const struct {
		const char *text;
		const char *name; /* NULL: none */
	} cases[] = {
		{ "example.test", "example.test" },
		{ "EXAMPLE.Test.", "example.test" },
		{ "_SPF.Example.test", "_spf.example.test" },
		{ "b\xc3\xbc"
		  "cher.test",
		    "xn--bcher-kva.test" },
		{ "B\xc3\x9c"
		  "CHER.test",
		    "xn--bcher-kva.test" },
		{ "XN--BCHER-KVA.test", "xn--bcher-kva.test" },
		{ "", NULL },
		{ ".", NULL },
		{ "..", NULL },
		{ "a..test", NULL },
		{ ".test", NULL },
		{ "-.test", NULL },
		{ "a b.test", NULL },
		{ "%{d}.test", NULL },
		{ "_%{d}.test", NULL },
		{ "_a..test", NULL },
		{ "._a.test", NULL },
		{ "_a b.test", NULL },
		{ "_a.test..", NULL },
		{ "_a\x01.test", NULL },
		{ "_\xc3\x28.test", NULL },
		{ "_a.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaaaaaa.test",
		    NULL },
	};
	char   name[DOMAIN_TEXT], longest[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (domain_underscored(cases[i].text, strlen(cases[i].text),
			name) != (cases[i].name != NULL))
			fail_msg("\"%s\"", cases[i].text);
		if (cases[i].name != NULL)
			assert_string_equal(name, cases[i].name);
	}
	memset(longest, '_', sizeof(longest));
	assert_false(domain_underscored(longest, sizeof(longest), name));
	assert_false(domain_underscored(longest, DOMAIN_TEXT, name));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_published),
		cmocka_unit_test(test_record_and_ttl),
		cmocka_unit_test(test_include),
		cmocka_unit_test(test_include_ttl),
		cmocka_unit_test(test_include_lookups),
		cmocka_unit_test(test_pass), cmocka_unit_test(test_name) };

	return (cmocka_run_group_tests_name("spfcheck", tests, setup,
	    teardown));
}
