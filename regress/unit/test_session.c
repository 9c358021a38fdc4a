/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "unit.h"

#include "session.h"

static struct sessions ss;

static int
close_all(void **state)
{
	struct session *s, *tmp;

	(void)state;
	HASH_ITER(hh, ss.byid, s, tmp)
	session_close(&ss, s);
	assert_null(ss.byid);
	return (0);
}

static struct session *
open_new(uint64_t id, const char *source)
{
	struct session *s = session_open(&ss, id, source);

	assert_non_null(s);
	return (s);
}

static void
test_find(void **state)
{
	struct session *a, *b;

	(void)state;
	assert_null(session_find(&ss, 1));
	a = open_new(1, "192.0.2.1:25");
	b = open_new(UINT64_MAX, "192.0.2.1:25");
	assert_ptr_equal(session_find(&ss, 1), a);
	assert_ptr_equal(session_find(&ss, UINT64_MAX), b);
	assert_null(session_find(&ss, 2));
	assert_null(session_find(&ss, 0x100000001));
	session_close(&ss, a);
	assert_null(session_find(&ss, 1));
	assert_ptr_equal(session_find(&ss, UINT64_MAX), b);
	a = open_new(1, "192.0.2.2:25");
	assert_ptr_equal(session_find(&ss, 1), a);
}

static void
test_fresh(void **state)
{
	struct session *s = open_new(7, "192.0.2.1:25");

	(void)state;
	assert_int_equal(s->id, 7);
	assert_true(LIST_EMPTY(&s->requests));
	assert_false(s->local);
	assert_int_equal(s->login, LOGIN_NONE);
	assert_false(session_authenticated(s));
	assert_string_equal(session_user(s), "");
	assert_string_equal(s->name, "");
	assert_null(s->tx);
}

static void
test_sources(void **state)
{
	static const struct {
		const char *source;
		const char *text;
		bool	    local;
	} cases[] = { { "127.0.0.1:57364", "127.0.0.1", false },
		{ "[2001:DB8::0001]:25", "2001:db8::1", false },
		{ "[::ffff:192.0.2.1]:25", "192.0.2.1", false },
		{ "unix:/run/smtpd.sock", "local", true },
		{ "unix:", "local", true }, { "unix", "unknown", false },
		{ "UNIX:/run/smtpd.sock", "unknown", false },
		{ "local", "unknown", false }, { "", "unknown", false },
		{ ":", "unknown", false }, { ":25", "unknown", false },
		{ "192.0.2.1", "unknown", false },
		{ "192.0.2.300:25", "unknown", false },
		{ "192.0.2.0/24:25", "unknown", false },
		{ "[fe80::1%eth0]:25", "unknown", false },
		{ "[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:"
		  "cccc:dddd:eeee]:25",
		    "unknown", false } };
	struct session *s;
	char		buf[NETADDR_TEXT];
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		s = open_new(i, cases[i].source);
		assert_string_equal(session_source(s, buf), cases[i].text);
		assert_int_equal(s->local, cases[i].local);
		assert_int_equal(s->source.len != 0,
		    strpbrk(cases[i].text, ".:") != NULL);
	}
}

static void
test_tx(void **state)
{
	struct session *s = open_new(1, "192.0.2.1:25");
	const char     *line = "From: a@one.example";

	(void)state;
	s->login = LOGIN_BOUND;
	strcpy(s->name, "alice");
	assert_non_null(session_begin_tx(s, "a@one.example"));
	assert_string_equal(s->tx->sender, "a@one.example");
	header_line(&s->tx->header, line, strlen(line));
	s->tx->sandboxed = s->tx->damaged = true;
	s->tx->state = TX_PASSED;
	s->tx->reservation = RESERVATION_MADE;
	strcpy(s->tx->user, "alice");
	assert_non_null(session_begin_tx(s, ""));
	assert_int_equal(s->tx->state, TX_NOBODYS);
	assert_int_equal(s->tx->reservation, RESERVATION_NONE);
	assert_false(s->tx->sandboxed);
	assert_false(s->tx->damaged);
	assert_string_equal(s->tx->user, "");
	assert_string_equal(s->tx->sender, "");
	assert_int_equal(s->tx->header.nfrom, 0);
	session_end_tx(s);
	assert_null(s->tx);
	session_end_tx(s);
	assert_int_equal(s->login, LOGIN_BOUND);
	assert_string_equal(s->name, "alice");
}

/* The envelope sender is kept up to what an address may be long. */
static void
test_long_sender(void **state)
{
	struct session *s = open_new(1, "192.0.2.1:25");
	char		text[SENDER_TEXT + 10];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_non_null(session_begin_tx(s, text));
	assert_int_equal(strlen(s->tx->sender), SENDER_TEXT - 1);
}

/* What a name is worth, by how it came. */
static void
test_login(void **state)
{
	static const struct {
		enum login login;
		bool	   authenticated;
	} cases[] = { { LOGIN_NONE, false }, { LOGIN_NAMED, false },
		{ LOGIN_SHOWN, false }, { LOGIN_ASKED, true },
		{ LOGIN_BOUND, true }, { LOGIN_NOBODY, true },
		{ LOGIN_NAMELESS, true }, { LOGIN_FAILED, true } };
	struct session *s = open_new(1, "192.0.2.1:25");
	size_t		i;

	(void)state;
	strcpy(s->name, "alice");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		s->login = cases[i].login;
		assert_int_equal(session_authenticated(s),
		    cases[i].authenticated);
		assert_string_equal(session_user(s),
		    cases[i].authenticated ? "alice" : "");
	}
}

/* A message is whose it was when MAIL FROM was accepted. */
static void
test_user_of_tx(void **state)
{
	static const struct {
		enum tx_state state;
		const char   *user;
	} cases[] = { { TX_NOBODYS, "alice" }, { TX_TRUSTED, "alice" },
		{ TX_OPEN, "bob" }, { TX_PASSED, "bob" } };
	struct session *s = open_new(1, "192.0.2.1:25");
	size_t		i;

	(void)state;
	s->login = LOGIN_BOUND;
	strcpy(s->name, "alice");
	assert_non_null(session_begin_tx(s, "a@one.example"));
	strcpy(s->tx->user, "bob");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		s->tx->state = cases[i].state;
		assert_string_equal(session_user(s), cases[i].user);
	}
	/* Of the source's user, nobody has logged in. */
	s->login = LOGIN_NONE;
	s->name[0] = '\0';
	assert_string_equal(session_user(s), "bob");
	s->tx->state = TX_NOBODYS;
	assert_string_equal(session_user(s), "");
}

static void
test_hold(void **state)
{
	struct session *s = open_new(1, "192.0.2.1:25");

	(void)state;
	session_bind_to(s, LOGIN_SHOWN, "$6$salt$hash");
	assert_int_equal(s->login, LOGIN_SHOWN);
	assert_true(session_is_bound_to(s, "$6$salt$hash"));
	assert_false(session_is_bound_to(s, "$6$salt$hasH"));
	assert_false(session_is_bound_to(s, "$6$salt$has"));
	assert_false(session_is_bound_to(s, "$6$salt$hashh"));
	assert_false(session_is_bound_to(s, ""));
	session_bind_to(s, LOGIN_BOUND, "");
	assert_int_equal(s->login, LOGIN_BOUND);
	assert_true(session_is_bound_to(s, ""));
	assert_false(session_is_bound_to(s, "$6$salt$hash"));
}

static void
test_limit(void **state)
{
	uint64_t id;

	(void)state;
	for (id = 0; id < SESSION_MAX; id++)
		open_new(id, "192.0.2.1:25");
	assert_null(session_open(&ss, id, "192.0.2.1:25"));
	assert_null(session_find(&ss, id));
	for (id = 0; id < SESSION_MAX; id += 997)
		assert_int_equal(session_find(&ss, id)->id, id);
	session_close(&ss, session_find(&ss, 5));
	open_new(SESSION_MAX, "192.0.2.1:25");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_teardown(test_find,
						close_all),
		cmocka_unit_test_teardown(test_fresh, close_all),
		cmocka_unit_test_teardown(test_sources, close_all),
		cmocka_unit_test_teardown(test_tx, close_all),
		cmocka_unit_test_teardown(test_long_sender, close_all),
		cmocka_unit_test_teardown(test_login, close_all),
		cmocka_unit_test_teardown(test_user_of_tx, close_all),
		cmocka_unit_test_teardown(test_hold, close_all),
		cmocka_unit_test_teardown(test_limit, close_all) };

	return (cmocka_run_group_tests_name("session", tests, NULL, NULL));
}
