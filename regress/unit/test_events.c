/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <signal.h>
#include <string.h>

#include "unit.h"

#include "events.h"
#include "fakeredis.h"
#include "log.h"
#include "quota.h"
#include "servers.h"
#include "writequeue.h"

static struct event_base *base;
static struct fakeredis	  fake;
static struct servers	 *servers;
static struct writequeue *j;

static int
set_up(void **state)
{
	static char		 prefix[] = "x:", relay[] = "mx1";
	static const char *const replies[] = { "$3\r\n1-1\r\n" };

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	log_init("unit");
	base = event_base_new();
	fakeredis_init(&fake, base);
	fake.conf.prefix = prefix;
	fake.conf.relay_name = relay;
	servers = servers_new(base, &fake.conf);
	assert_non_null(servers);
	j = writequeue_new(base, servers);
	assert_non_null(j);
	fakeredis_start(&fake);
	unit_run_until(base, servers_ready(servers) && fakeredis_heard(&fake));
	fakeredis_script(&fake, replies, 1);
	return (0);
}

static int
tear_down(void **state)
{
	(void)state;
	writequeue_free(j);
	servers_free(servers);
	fakeredis_free(&fake);
	event_base_free(base);
	return (0);
}

/* What was sent, without the id, which is drawn. */
static const char *
sent(void)
{
	static char text[1024];
	char	   *id;

	unit_run_until(base, fake.ncommands > 0 && fakeredis_heard(&fake));
	snprintf(text, sizeof(text), "%.1000s", fake.log);
	id = strstr(text, " id ");
	assert_non_null(id);
	assert_int_equal(strspn(id + 4, "0123456789abcdef"), 16);
	memmove(id, id + 20, strlen(id + 20) + 1);
	return (text);
}

static void
test_fields(void **state)
{
	const struct events_figure figures[] = { { "limit", "100/1h" },
		{ "none", NULL }, { "empty", "" }, { "used", "90" } };

	(void)state;
	events_add(j, &fake.conf, "limit.near", "alice", "acme", 4, figures);
	assert_string_equal(sent(),
	    "XADD x:events MAXLEN ~ 10000 * kind limit.near user alice "
	    "account acme relay mx1 limit 100/1h used 90\n");
}

static void
test_of_nobody(void **state)
{
	(void)state;
	events_add(j, &fake.conf, "alarm.load", NULL, "", 0, NULL);
	assert_string_equal(sent(),
	    "XADD x:events MAXLEN ~ 10000 * kind alarm.load relay mx1\n");
}

static void
test_too_many_figures(void **state)
{
	struct events_figure figures[EVENTS_FIGURES + 2];
	size_t		     i;

	(void)state;
	for (i = 0; i < EVENTS_FIGURES + 2; i++)
		figures[i] = (struct events_figure){ "n", "1" };
	events_add(j, &fake.conf, "alarm.load", NULL, "acme",
	    EVENTS_FIGURES + 2, figures);
	assert_string_equal(sent(),
	    "XADD x:events MAXLEN ~ 10000 * kind alarm.load account acme "
	    "relay mx1 n 1 n 1 n 1 n 1 n 1 n 1 n 1 n 1\n");
}

static void
test_of_functions(void **state)
{
	const struct quota_words words = { 6,
		{ "limit.near", "account", "acme", "used", "9", "odd" } };

	(void)state;
	events_tell(j, &fake.conf, "alice", "", &words);
	assert_string_equal(sent(),
	    "XADD x:events MAXLEN ~ 10000 * kind limit.near user alice "
	    "account acme relay mx1 used 9\n");
}

static void
test_of_an_account(void **state)
{
	const struct quota_words words = { 5,
		{ "limit.near", "account", "", "used", "9" } };

	(void)state;
	events_tell(j, &fake.conf, "alice", "acme", &words);
	assert_string_equal(sent(),
	    "XADD x:events MAXLEN ~ 10000 * kind limit.near account acme "
	    "relay mx1 used 9\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fields, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_of_nobody, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(test_too_many_figures, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(test_of_functions, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(test_of_an_account, set_up,
		    tear_down),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
