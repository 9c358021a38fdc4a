/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "unit.h"

#include "key.h"
#include "user.h"

static void
test_keys(void **state)
{
	char	       key[KEY_TEXT];
	struct netaddr na;

	(void)state;
	assert_string_equal(key_user(key, "smtp:", "alice", ""),
	    "smtp:user:{alice}");
	assert_string_equal(key_user(key, "smtp:", "alice", "ips"),
	    "smtp:user:{alice}:ips");
	assert_string_equal(key_account(key, "smtp:", "acme", ""),
	    "smtp:account:{acme}");
	assert_string_equal(key_account(key, "smtp:", "acme", "domains"),
	    "smtp:account:{acme}:domains");
	assert_string_equal(key_report(key, "smtp:", "42"), "smtp:report:{42}");
	assert_string_equal(key_events(key, "smtp:"), "smtp:events");
	assert_string_equal(key_stats(key, "smtp:", 1795250369),
	    "smtp:stats:{2026-11-21T08}");
	assert_string_equal(key_user(key, "", "alice", ""), "user:{alice}");
	assert_ptr_equal(key_report(key, "x", "1"), key);
	assert_true(netaddr_parse("::ffff:192.0.2.1", &na));
	assert_string_equal(key_address(key, "smtp:", &na),
	    "smtp:ip:{192.0.2.1}");
	assert_string_equal(key_failures(key, "smtp:", &na, ""),
	    "smtp:failures:{192.0.2.1}");
	assert_string_equal(key_failures(key, "smtp:", &na, "known"),
	    "smtp:failures:{192.0.2.1}:known");
	assert_true(netaddr_parse("[2001:DB8:0::1]", &na));
	assert_string_equal(key_address(key, "smtp:", &na),
	    "smtp:ip:{2001:db8::1}");
	assert_string_equal(key_of_kind(key, "smtp:", "top", "-n", "messages"),
	    "smtp:top:{-n}:messages");
}

static void
test_read(void **state)
{
	static const char hold[] = "used:hold:0123456789abcdef";
	char		  key[KEY_TEXT], name[KEY_TEXT];

	(void)state;
	assert_false(key_read(key_user(key, "smtp:", "alice", ""), name));
	assert_string_equal(name, "alice");
	assert_false(key_read(key_user(key, "account:", "bob", hold), name));
	assert_string_equal(name, "bob");
	assert_true(key_read(key_account(key, "smtp:", "acme", ""), name));
	assert_string_equal(name, "acme");
	assert_true(key_read(key_account(key, "", "acme", hold), name));
	assert_string_equal(name, "acme");
	assert_true(key_read(key_account(key, "p{1}", "a-b", hold), name));
	assert_string_equal(name, "a-b");
	assert_false(key_read(key_user(key, "account:{1}", "c", ""), name));
	assert_string_equal(name, "c");
	assert_false(key_read("account:", name));
	assert_string_equal(name, "");
}

/* The longest of each fits, up to its end. */
static void
test_longest(void **state)
{
	char	       key[KEY_TEXT], prefix[65], name[USER_NAME_MAX + 1];
	struct netaddr na;

	(void)state;
	memset(prefix, 'p', sizeof(prefix));
	memset(name, 'n', sizeof(name));
	prefix[sizeof(prefix) - 1] = name[sizeof(name) - 1] = '\0';
	assert_int_equal(strlen(key_user(key, prefix, name, "suppressed")),
	    64 + strlen("user:{}:suppressed") + USER_NAME_MAX);
	assert_contains(key, "n}:suppressed");
	key_account(key, prefix, name, "suppressed");
	assert_contains(key, "n}:suppressed");
	key_account(key, prefix, name, "used:hold:0123456789abcdef");
	assert_contains(key, "n}:used:hold:0123456789abcdef");
	assert_true(netaddr_parse("2001:db8:1111:2222:3333:4444:5555:6666",
	    &na));
	key_address(key, prefix, &na);
	assert_contains(key, "pip:{2001:db8:1111:2222:3333:4444:5555:6666}");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_keys),
		cmocka_unit_test(test_read), cmocka_unit_test(test_longest) };

	return (cmocka_run_group_tests_name("key", tests, NULL, NULL));
}
