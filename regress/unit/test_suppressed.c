/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "unit.h"

#include "domain.h"
#include "suppressed.h"

#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10

/* What is looked up of a recipient, as smtpd would write it. */
static void
test_read(void **state)
{
	static const struct {
		const char *recipient, *domain, *address; /* NULL: none */
	} rows[] = { { "Bob@Example.COM", "example.com", "bob@example.com" },
		{ "@a.example,@b.example:bob@c.example", "c.example",
		    "bob@c.example" },
		{ "x:bob@c.example", "c.example", "bob@c.example" },
		{ ":@c.example", "c.example", NULL },
		{ "a=b'!#$%&*+-/?^_`{|}~@c.example", "c.example",
		    "a=b'!#$%&*+-/?^_`{|}~@c.example" },
		{ "a@b@c.example", "c.example", NULL },
		{ "a..b@c.example", "c.example", NULL },
		{ ".a@c.example", "c.example", NULL },
		{ "a b@c.example", "c.example", NULL },
		{ "b\xc3\xb6@c.example", "c.example", NULL },
		{ "@c.example", "c.example", NULL },
		{ X60 "xxxx@c.example", "c.example", X60 "xxxx@c.example" },
		{ X60 "xxxxx@c.example", "c.example", NULL },
		{ "bob@b\xc3\xbc"
		  "cher.example",
		    "xn--bcher-kva.example", "bob@xn--bcher-kva.example" },
		{ "bob@_x.c.example", "_x.c.example", "bob@_x.c.example" },
		/* Which nobody can tell. */
		{ "bob", NULL, NULL }, { "", NULL, NULL },
		{ "bob@", NULL, NULL }, { "bob@localhost", NULL, NULL },
		{ "bob@c.example.", NULL, NULL },
		{ "bob@[192.0.2.1]", NULL, NULL },
		{ "bob@192.0.2.1", NULL, NULL },
		{ "bob@c..example", NULL, NULL },
		{ "\"bob\"@c.example", NULL, NULL },
		{ "\"a:bob\"@c.example", NULL, NULL },
		{ "bo\\b@c.example", NULL, NULL },
		{ "bob@c.example ", NULL, NULL } };
	struct domains domains;
	size_t	       i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&domains, 0xff, sizeof(domains));
		suppressed_read(&domains, rows[i].recipient);
		assert_int_equal(domains.n, rows[i].domain != NULL);
		assert_int_equal(domains.naddresses, rows[i].address != NULL);
		if (rows[i].domain != NULL)
			assert_string_equal(domains.name[0], rows[i].domain);
		if (rows[i].address != NULL)
			assert_string_equal(domains.address[0].text,
			    rows[i].address);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_read) };

	return (cmocka_run_group_tests_name("suppressed", tests, NULL, NULL));
}
