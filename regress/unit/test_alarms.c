/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/* What alarms count by, and what a reservation says for them. */

#include <string.h>

#include "unit.h"

#include "alarms.h"
#include "conf.h"
#include "user.h"

static struct conf	   conf;
static struct user	   user;
static struct alarm_limits limits;

static void
set(enum alarm_kind kind, enum alarm_action action, int64_t count)
{
	conf.alarms[kind].action = action;
	conf.alarm_limits.of[kind].count = count;
	conf.alarm_limits.of[kind].period = 3600;
}

static int
begin(void **state)
{
	(void)state;
	memset(&conf, 0, sizeof(conf));
	memset(&user, 0, sizeof(user));
	memset(&limits, 0, sizeof(limits));
	return (0);
}

static void
test_limits(void **state)
{
	(void)state;
	alarms_limits(&conf, &user, &limits);
	assert_false(alarms_count_messages(&limits));
	/* Without a section the user's own has no effect. */
	assert_true(alarm_parse("sources=1/1h volume=off", &user.alarms));
	alarms_limits(&conf, &user, &limits);
	assert_false(alarms_count_messages(&limits));
	set(ALARM_BLOCKED, ALARM_NOTICE, 100);
	alarms_limits(&conf, &user, &limits);
	assert_false(alarms_count_messages(&limits));
	assert_true(alarms_count(&limits, ALARM_BLOCKED));
	set(ALARM_FAILURES, ALARM_NOTICE, 1000);
	alarms_limits(&conf, &user, &limits);
	assert_false(alarms_count_messages(&limits));
	assert_true(alarms_count(&limits, ALARM_FAILURES));
	set(ALARM_VOLUME, ALARM_BLOCK, 100);
	alarms_limits(&conf, &user, &limits);
	assert_false(alarms_count_messages(&limits));
	set(ALARM_SOURCES, ALARM_BLOCK, 20);
	alarms_limits(&conf, &user, &limits);
	assert_true(alarms_count_messages(&limits));
	assert_int_equal(limits.of[ALARM_SOURCES].count, 1);
	assert_false(alarms_count(&limits, ALARM_VOLUME));
}

static void
test_digests(void **state)
{
	struct alarms_digests digests = { .n = 0 };
	char		      name[32];
	int		      i;

	(void)state;
	alarms_drop(&digests);
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "r%d@example.com", i);
		assert_true(alarms_add(&digests, name));
		assert_int_equal(strlen(digests.text), 16 * (i + 1));
	}
	assert_memory_not_equal(digests.text, digests.text + 16, 16);
	for (i = 0; i < 99; i++)
		alarms_drop(&digests);
	assert_true(alarms_add(&digests, "R0@EXAMPLE.com"));
	assert_int_equal(strlen(digests.text), 32);
	assert_memory_equal(digests.text, digests.text + 16, 16);
	alarms_clear(&digests);
	assert_null(digests.text);
	assert_true(alarms_add(&digests, "a"));
	alarms_clear(&digests);
}

static void
test_tags(void **state)
{
	static const struct {
		const char *source, *counted;
	} rows[] = { { "192.0.2.1", "192.0.2.1" },
		{ "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64" },
		{ "::ffff:192.0.2.1", "192.0.2.1" }, { NULL, "" } };
	static struct alarms_words words;
	struct alarms_digests	   digests = { .n = 0 };
	struct netaddr		   source;
	struct alarms_message	   message = { &limits, &source, 3, &digests };
	size_t			   i;

	(void)state;
	set(ALARM_SOURCES, ALARM_BLOCK, 20);
	conf.alarms[ALARM_SOURCES].lasts = 60;
	set(ALARM_VOLUME, ALARM_NOTICE, 1000000);
	set(ALARM_BLOCKED, ALARM_BLOCK, 5);
	set(ALARM_FAILURES, ALARM_BLOCK, 5);
	alarms_limits(&conf, &user, &limits);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&source, 0, sizeof(source));
		if (rows[i].source != NULL)
			assert_true(netaddr_parse(rows[i].source, &source));
		alarms_write(&conf, &message, &words);
		assert_string_equal(words.values[0],
		    "sources:20:3600:block:60 volume:1000000:3600:notice:0");
		assert_string_equal(words.values[1], rows[i].counted);
		assert_string_equal(words.values[2], "3");
		assert_string_equal(words.values[3], "");
	}
	/* Turned off since the message began. */
	conf.alarms[ALARM_SOURCES].action = ALARM_OFF;
	alarms_write(&conf, &message, &words);
	assert_string_equal(words.plan, "volume:1000000:3600:notice:0");
}

/* The longest plan fits. */
static void
test_long_plan(void **state)
{
	static struct alarms_words words;
	struct alarms_digests	   digests = { .n = 0 };
	struct netaddr		   source = { .len = 0 };
	struct alarms_message	   message = { &limits, &source, 3, &digests };
	enum alarm_kind		   kind;

	(void)state;
	for (kind = 0; kind < ALARM_KINDS; kind++) {
		set(kind, ALARM_SANDBOX, 1000000);
		conf.alarm_limits.of[kind].period = 3650LL * 86400;
		conf.alarms[kind].lasts = 3650LL * 86400;
	}
	alarms_limits(&conf, &user, &limits);
	alarms_write(&conf, &message, &words);
	assert_true(strlen(words.plan) < sizeof(words.plan) / 2);
	assert_contains(words.plan, "volume:1000000:315360000:sandbox:");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup(test_limits,
						begin),
		cmocka_unit_test_setup(test_digests, begin),
		cmocka_unit_test_setup(test_tags, begin),
		cmocka_unit_test_setup(test_long_plan, begin) };

	return (cmocka_run_group_tests_name("alarms", tests, NULL, NULL));
}
