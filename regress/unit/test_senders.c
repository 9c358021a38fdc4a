/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "unit.h"

#include "conf.h"
#include "senders.h"

static struct conf    conf;
static struct header  header;
static struct senders senders;

static int
set_up(void **state)
{
	(void)state;
	memset(&conf, 0, sizeof(conf));
	memset(&senders, 0, sizeof(senders));
	conf.enforce = ENFORCE_ENVELOPE | ENFORCE_HEADER;
	return (0);
}

static int
tear_down(void **state)
{
	(void)state;
	header_clear(&header);
	return (0);
}

static void
assert_name(enum reason got, enum reason expected)
{
	assert_string_equal(reason_name(got), reason_name(expected));
}

static void
test_null_sender(void **state)
{
	(void)state;
	assert_true(senders_null(""));
	assert_false(senders_null("a"));
	assert_false(senders_null(" "));
}

static void
test_envelope(void **state)
{
	static const struct {
		const char *sender;
		enum reason reason;
		const char *domain;
	} cases[] = { { "a@one.example", REASON_NONE, "one.example" },
		{ "A@ONE.example", REASON_NONE, "one.example" },
		{ "a@sub.one.example", REASON_NONE, "sub.one.example" },
		{ "a@b\xc3\xbc"
		  "cher.example",
		    REASON_NONE, "xn--bcher-kva.example" },
		{ "a+b=c.example@one.example", REASON_NONE, "one.example" },
		/* As smtpd itself would have it. */
		{ "a@two.example@one.example", REASON_NONE, "one.example" },
		{ "", REASON_NONE, NULL }, { "a", REASON_SENDER_INVALID, NULL },
		{ "@one.example", REASON_SENDER_INVALID, NULL },
		{ "@two.example:a@one.example", REASON_SENDER_INVALID, NULL },
		{ "a@", REASON_DOMAIN_INVALID, NULL },
		{ "a@localhost", REASON_DOMAIN_INVALID, NULL },
		{ "a@one.example.", REASON_DOMAIN_INVALID, NULL },
		{ "a@192.0.2.1", REASON_DOMAIN_INVALID, NULL },
		{ "a@[192.0.2.1]", REASON_ADDRESS_LITERAL, NULL },
		{ "a@[IPv6:2001:db8::1]", REASON_ADDRESS_LITERAL, NULL } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		senders_of_envelope(&senders, &conf, cases[i].sender);
		assert_name(senders.reason, cases[i].reason);
		assert_int_equal(senders.domains.n, cases[i].domain != NULL);
		if (cases[i].domain != NULL)
			assert_string_equal(senders.domains.name[0],
			    cases[i].domain);
	}
}

static void
test_envelope_not_enforced(void **state)
{
	(void)state;
	conf.enforce = ENFORCE_HEADER;
	senders_of_envelope(&senders, &conf, "a@[192.0.2.1]");
	assert_name(senders.reason, REASON_NONE);
	senders_of_envelope(&senders, &conf, "a@one.example");
	assert_name(senders.reason, REASON_NONE);
	assert_int_equal(senders.domains.n, 0);
}

static void
take(const char *line)
{
	header_line(&header, line, strlen(line));
}

static void
test_header(void **state)
{
	(void)state;
	take("From: a@two.example");
	senders_of_message(&senders, &conf, "a@one.example", &header);
	assert_name(senders.reason, REASON_NONE);
	assert_int_equal(senders.domains.n, 2);
	assert_string_equal(senders.domains.name[0], "one.example");
	assert_string_equal(senders.domains.name[1], "two.example");
}

/* What readers see, where that is judged. */
static void
test_counted(void **state)
{
	(void)state;
	take("From: a@two.example, b@one.example, c@three.example");
	senders_of_envelope(&senders, &conf, "a@one.example");
	assert_int_equal(senders.counted, 0);
	senders_of_message(&senders, &conf, "a@two.example", &header);
	assert_int_equal(senders.counted, 7);
	senders_of_message(&senders, &conf, "a@four.example", &header);
	assert_int_equal(senders.counted, 14);
	senders_of_message(&senders, &conf, "", &header);
	assert_int_equal(senders.counted, 7);
	conf.enforce = ENFORCE_HEADER;
	senders_of_message(&senders, &conf, "a@four.example", &header);
	assert_int_equal(senders.counted, 7);
	conf.enforce = ENFORCE_ENVELOPE;
	senders_of_envelope(&senders, &conf, "a@one.example");
	assert_int_equal(senders.counted, 1);
	senders_of_message(&senders, &conf, "a@four.example", &header);
	assert_int_equal(senders.counted, 1);
	senders_of_envelope(&senders, &conf, "");
	assert_int_equal(senders.counted, 0);
	senders_of_envelope(&senders, &conf, "a");
	assert_int_equal(senders.reason, REASON_SENDER_INVALID);
}

static void
test_header_refused(void **state)
{
	(void)state;
	senders_of_message(&senders, &conf, "a@one.example", &header);
	assert_name(senders.reason, REASON_FROM_MISSING);
	take("From: a@[192.0.2.1]");
	senders_of_message(&senders, &conf, "a@one.example", &header);
	assert_name(senders.reason, REASON_ADDRESS_LITERAL);
}

/* The envelope's trouble is told before the header's. */
static void
test_envelope_refused(void **state)
{
	(void)state;
	senders_of_message(&senders, &conf, "a", &header);
	assert_name(senders.reason, REASON_SENDER_INVALID);
	take("From: a@two.example");
	senders_of_message(&senders, &conf, "a@localhost", &header);
	assert_name(senders.reason, REASON_DOMAIN_INVALID);
}

/* A null sender leaves the header alone to judge by, whatever is enforced. */
static void
test_header_not_enforced(void **state)
{
	static const int enforce[] = { 0, ENFORCE_ENVELOPE, ENFORCE_HEADER,
		ENFORCE_ENVELOPE | ENFORCE_HEADER };
	size_t		 i;

	(void)state;
	for (i = 0; i < 4; i++) {
		conf.enforce = enforce[i];
		senders_of_message(&senders, &conf, "", &header);
		assert_name(senders.reason, REASON_FROM_MISSING);
	}
	take("From: a@two.example");
	for (i = 0; i < 4; i++) {
		conf.enforce = enforce[i];
		senders_of_message(&senders, &conf, "", &header);
		assert_name(senders.reason, REASON_NONE);
		assert_int_equal(senders.domains.n, 1);
		assert_string_equal(senders.domains.name[0], "two.example");
	}
	conf.enforce = ENFORCE_ENVELOPE;
	senders_of_message(&senders, &conf, "a@one.example", &header);
	assert_name(senders.reason, REASON_NONE);
	assert_int_equal(senders.domains.n, 1);
	assert_string_equal(senders.domains.name[0], "one.example");
	header_clear(&header);
	senders_of_message(&senders, &conf, "a@one.example", &header);
	assert_name(senders.reason, REASON_NONE);
}

/* What was read before is forgotten. */
static void
test_anew(void **state)
{
	(void)state;
	take("From: a@two.example");
	senders_of_message(&senders, &conf, "a@one.example", &header);
	assert_int_equal(senders.domains.n, 2);
	senders_of_envelope(&senders, &conf, "a@[192.0.2.1]");
	assert_name(senders.reason, REASON_ADDRESS_LITERAL);
	assert_int_equal(senders.domains.n, 0);
	senders_of_envelope(&senders, &conf, "");
	assert_name(senders.reason, REASON_NONE);
	assert_int_equal(senders.domains.n, 0);
}

/* The same domain in both is asked about once. */
static void
test_same_domain(void **state)
{
	(void)state;
	take("From: b@ONE.example");
	senders_of_message(&senders, &conf, "a@one.example", &header);
	assert_name(senders.reason, REASON_NONE);
	assert_int_equal(senders.domains.n, 1);
}

/* The authors' addresses are kept with their domains, behind the envelope's. */
static void
test_addresses(void **state)
{
	const struct domains *d = &senders.domains;

	(void)state;
	take("From: b@two.example, a@one.example, x \"y\"@two.example");
	senders_of_message(&senders, &conf, "c@one.example", &header);
	assert_name(senders.reason, REASON_NONE);
	assert_true(senders.of_envelope);
	assert_int_equal(d->n, 2);
	assert_int_equal(d->naddresses, 3);
	assert_string_equal(d->address[0].text, "c@one.example");
	assert_int_equal(d->address[0].domain, 0);
	assert_string_equal(d->address[1].text, "b@two.example");
	assert_int_equal(d->address[1].domain, 1);
	assert_string_equal(d->address[2].text, "a@one.example");
	assert_int_equal(d->address[2].domain, 0);
	assert_int_equal(d->unnamed, 2);
	senders_of_message(&senders, &conf, "", &header);
	assert_false(senders.of_envelope);
}

/* One domain more than there is room for, which is the envelope's. */
static void
test_too_many(void **state)
{
	char from[1024] = "From: a@d0.example";
	char one[32];
	int  i;

	(void)state;
	for (i = 1; i < DOMAINS_MAX; i++) {
		snprintf(one, sizeof(one), ", a@d%d.example", i);
		strcat(from, one);
	}
	take(from);
	senders_of_message(&senders, &conf, "a@d7.example", &header);
	assert_name(senders.reason, REASON_NONE);
	assert_int_equal(senders.domains.n, DOMAINS_MAX);
	assert_int_equal(senders.counted, 0xffff);
	senders_of_message(&senders, &conf, "a@one.example", &header);
	assert_name(senders.reason, REASON_FROM_AMBIGUOUS);
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = { test(test_null_sender),
		test(test_envelope), test(test_envelope_not_enforced),
		test(test_header), test(test_counted),
		test(test_header_refused), test(test_envelope_refused),
		test(test_header_not_enforced), test(test_anew),
		test(test_same_domain), test(test_addresses),
		test(test_too_many) };

	return (cmocka_run_group_tests_name("senders", tests, NULL, NULL));
}
