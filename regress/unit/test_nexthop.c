/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/* What the dialogue with a next hop says of a message's recipients. */

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "nexthop.h"

#define ID 0x317375cd1ab40357
#define MSG 0x8d221206

static struct nexthops hops;
static struct {
	unsigned int calls;
	uint32_t     msgid;
	size_t	     accepted, refused;
} told;

static void
on_told(void *arg, uint32_t msgid, size_t accepted, size_t refused)
{
	assert_ptr_equal(arg, &told);
	assert_true(accepted + refused > 0);
	told.calls++;
	told.msgid = msgid;
	told.accepted += accepted;
	told.refused += refused;
}

static int
begin(void **state)
{
	(void)state;
	memset(&told, 0, sizeof(told));
	memset(&hops, 0, sizeof(hops));
	hops.cb = on_told;
	hops.arg = &told;
	return (0);
}

static int
end(void **state)
{
	(void)state;
	nexthops_clear(&hops);
	assert_null(hops.byid);
	return (0);
}

/*
 * Each word is a line: of smtpd where it begins with ">", "+" where MAIL FROM
 * was accepted, else of the next hop.
 */
static void
talk(uint64_t id, const char *const *lines)
{
	for (; *lines != NULL; lines++) {
		if ((*lines)[0] == '>')
			nexthop_asked(&hops, id, *lines + 1);
		else if ((*lines)[0] == '+')
			nexthop_begin(&hops, id, MSG);
		else
			nexthop_answered(&hops, id, *lines);
	}
}

#define MAIL ">MAIL FROM:<a@b>", "250 ok", "+"
#define RCPT ">RCPT TO:<c@d>"
#define TEXT ">DATA", "354 go", ">."

static void
test_what_counts(void **state)
{
	static const struct {
		const char  *lines[24];
		unsigned int calls;
		size_t	     accepted, refused;
	} rows[] = {
		{ { MAIL, RCPT, "250 ok", TEXT, "250 ok" }, 1, 1, 0 },
		/* of the last one there is no tx-rcpt */
		{ { MAIL, RCPT, "550 no", ">RSET", "250 ok" }, 1, 0, 1 },
		{ { MAIL, RCPT, "250 ok", RCPT, "550 no", RCPT, "451 later",
		      TEXT, "250 ok" },
		    1, 1, 1 },
		{ { MAIL, RCPT, "451 later", ">RSET", "250 ok" }, 0, 0, 0 },
		/* a reply of several lines is one */
		{ { MAIL, RCPT, "550-no", "550-|such", "550 user", ">RSET" }, 1,
		    0, 1 },
		{ { MAIL, RCPT, "550", ">QUIT" }, 1, 0, 1 },
		{ { MAIL, RCPT, "250 ok", RCPT, "250 ok", ">DATA", "554 no",
		      ">RSET" },
		    1, 0, 2 },
		{ { MAIL, RCPT, "250 ok", ">DATA", "451 no", ">RSET" }, 0, 0,
		    0 },
		{ { MAIL, RCPT, "250 ok", RCPT, "550 no", TEXT, "554 spam" }, 1,
		    0, 2 },
		{ { MAIL, RCPT, "250 ok", RCPT, "550 no", TEXT, "451 later" },
		    1, 0, 1 },
		/* what is told once is not told again */
		{ { MAIL, RCPT, "250 ok", TEXT, "250 ok", "550 no", ">RSET",
		      "550 no", ">QUIT", "550 no" },
		    1, 1, 0 },
		/* nobody knows whose these are */
		{ { ">MAIL FROM:<a@b>", "550 no", ">RSET", "250 ok", RCPT,
		      "550 no", TEXT, "550 no" },
		    0, 0, 0 },
		{ { "554 no", ">EHLO x", "550 no", ">HELO x", "550 no" }, 0, 0,
		    0 },
		/* two messages */
		{ { MAIL, RCPT, "550 no", MAIL, RCPT, "550 no", ">QUIT" }, 2, 0,
		    2 },
		{ { MAIL, RCPT, "550 no", "+", RCPT, "250 ok", TEXT, "250 ok" },
		    2, 1, 1 },
		/* each recipient has a reply */
		{ { ">LHLO x", "250 ok", MAIL, RCPT, "250 ok", RCPT, "250 ok",
		      RCPT, "550 no", TEXT, "250 ok", "550 no", "550 no",
		      ">QUIT" },
		    1, 1, 2 },
		{ { ">LHLO x", "250 ok", MAIL, RCPT, "250 ok", RCPT, "250 ok",
		      TEXT, "451 later", "550 no" },
		    1, 0, 1 },
		/* nonsense */
		{ { MAIL, ">.", "550 no", ">DATA", "550 no", ">.", "550 no" },
		    0, 0, 0 },
		{ { MAIL, RCPT, "", RCPT, "x", RCPT, "55", TEXT, "" }, 1, 0,
		    1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(NULL);
		nexthop_open(&hops, ID);
		talk(ID, rows[i].lines);
		if (told.calls != rows[i].calls ||
		    told.accepted != rows[i].accepted ||
		    told.refused != rows[i].refused)
			fail_msg("row %zu: %u calls, %zu accepted, %zu refused",
			    i, told.calls, told.accepted, told.refused);
		assert_int_equal(told.msgid, told.calls > 0 ? MSG : 0);
		nexthop_close(&hops, ID);
		assert_int_equal(told.calls, rows[i].calls);
	}
}

/* What was refused before the connection was lost stays so. */
static void
test_lost_connections(void **state)
{
	static const char *const lines[] = { MAIL, RCPT, "550 no", RCPT,
		"250 ok", TEXT, NULL };

	(void)state;
	nexthop_open(&hops, ID);
	talk(ID, lines);
	assert_int_equal(told.calls, 0);
	nexthop_close(&hops, ID);
	assert_int_equal(told.refused, 1);
	assert_int_equal(told.accepted, 0);
	nexthop_close(&hops, ID);
	talk(ID, lines);
	assert_int_equal(told.calls, 1);
	/* smtpd goes on to another host in the same session. */
	nexthop_open(&hops, ID);
	talk(ID, lines);
	nexthop_open(&hops, ID);
	assert_int_equal(told.refused, 2);
}

static void
test_sessions_have_a_bound(void **state)
{
	static const char *const lines[] = { MAIL, RCPT, "550 no", ">RSET",
		NULL };
	uint64_t		 id;

	(void)state;
	for (id = 0; id < NEXTHOP_MAX + 10; id++)
		nexthop_open(&hops, id);
	for (id = 0; id < NEXTHOP_MAX + 10; id++)
		talk(id, lines);
	assert_int_equal(told.refused, NEXTHOP_MAX);
	nexthop_close(&hops, 0);
	nexthop_open(&hops, ID);
	talk(ID, lines);
	assert_int_equal(told.refused, NEXTHOP_MAX + 1);
}

#define test(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = { test(test_what_counts),
		test(test_lost_connections), test(test_sessions_have_a_bound) };

	return (cmocka_run_group_tests_name("nexthop", tests, NULL, NULL));
}
