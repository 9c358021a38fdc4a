/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "fakeredis.h"
#include "log.h"
#include "server.h"
#include "servers.h"

static struct event_base  *base;
static struct fakeredis	   fake;
static struct servers	  *servers;
static struct unit_capture capture;

static int
set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	log_init("unit");
	base = event_base_new();
	fakeredis_init(&fake, base);
	unit_capture(&capture);
	return (0);
}

static int
tear_down(void **state)
{
	(void)state;
	unit_captured(&capture);
	servers_free(servers);
	servers = NULL;
	fakeredis_free(&fake);
	event_base_free(base);
	return (0);
}

static void
start(void)
{
	servers = servers_new(base, &fake.conf);
	assert_non_null(servers);
}

static void
on_ready(void *arg)
{
	++*(int *)arg;
}

static void
test_when_ready(void **state)
{
	int now = 0, later = 0;

	(void)state;
	fakeredis_start(&fake);
	start();
	servers_when_ready(servers, on_ready, &later);
	assert_int_equal(later, 0);
	unit_run_until(base, later > 0);
	assert_true(servers_ready(servers));
	servers_when_ready(servers, on_ready, &now);
	assert_int_equal(now, 0);
	unit_run_until(base, now > 0);
	/* Each once: not with the next connection. */
	fakeredis_hang_up(&fake);
	unit_run_until(base, !servers_ready(servers));
	unit_run_until(base, servers_ready(servers));
	assert_int_equal(now, 1);
	assert_int_equal(later, 1);
}

static void
test_never_ready(void **state)
{
	int64_t began = unit_now();
	int	called = 0;

	(void)state;
	fake.conf.redis_timeout = 100;
	start();
	servers_when_ready(servers, on_ready, &called);
	unit_run_until(base, called > 0);
	assert_in_range(unit_now() - began, 90, 1500);
	assert_false(servers_ready(servers));
	fakeredis_start(&fake);
	unit_run_until(base, servers_ready(servers));
	assert_int_equal(called, 1);
}

/* What a callback got. */
static void
on_reply(void *arg, const redisReply *reply)
{
	*(long long *)arg = reply == REDIS_NO_REPLY ? -1 : reply->integer;
}

static void
test_send(void **state)
{
	static const char *const replies[] = { ":7\r\n", FAKE_HOLD, ":9\r\n" };
	const char		*argv[] = { "GET", "k" };
	long long		 got[3] = { 0, 0, 0 };
	struct servers_req	*second;

	(void)state;
	start();
	assert_null(servers_send(servers, "k", on_reply, &got[0], 2, argv));
	fakeredis_start(&fake);
	unit_run_until(base, servers_ready(servers));
	fakeredis_script(&fake, replies, 3);
	assert_non_null(servers_send(servers, "k", on_reply, &got[0], 2, argv));
	unit_run_until(base, got[0] != 0);
	assert_int_equal(got[0], 7);
	second = servers_send(servers, "k", on_reply, &got[1], 2, argv);
	assert_non_null(servers_send(servers, NULL, on_reply, &got[2], 2,
	    argv));
	servers_cancel(second);
	unit_run_until(base, fake.ncommands == 3);
	fakeredis_hang_up(&fake);
	unit_run_until(base, got[2] != 0);
	assert_int_equal(got[1], 0);
}

static void
test_free_under_way(void **state)
{
	const char *argv[] = { "GET", "k" };
	long long   got = 0;
	int	    called = 0;

	(void)state;
	fakeredis_start(&fake);
	start();
	unit_run_until(base, servers_ready(servers));
	assert_non_null(servers_send(servers, "k", on_reply, &got, 2, argv));
	servers_when_ready(servers, on_ready, &called);
	servers_free(servers);
	servers = NULL;
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(got, 0);
	assert_int_equal(called, 0);
}

static void
on_server(void *arg, struct server *server)
{
	assert_true(server_ready(server));
	++*(int *)arg;
}

static void
test_on_connect(void **state)
{
	int before = 0, after = 0;

	(void)state;
	fakeredis_start(&fake);
	start();
	servers_on_connect(servers, on_server, &before);
	unit_run_until(base, before == 1);
	servers_on_connect(servers, on_server, &after);
	assert_int_equal(after, 1);
	fakeredis_hang_up(&fake);
	unit_run_until(base, after == 2);
	assert_int_equal(before, 1);
}

static void
test_no_ca(void **state)
{
	static char ca[] = "/nonexistent/ca.pem";

	(void)state;
	assert_true(places_parse(&fake.conf.places, "tls:127.0.0.1:1"));
	fake.conf.redis_ca = ca;
	assert_null(servers_new(base, &fake.conf));
	assert_contains(unit_captured(&capture),
	    "redis_ca: /nonexistent/ca.pem: ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(test_when_ready), TEST(test_never_ready), TEST(test_send),
		TEST(test_free_under_way), TEST(test_on_connect),
		TEST(test_no_ca)
	};

	return (cmocka_run_group_tests_name("servers", tests, NULL, NULL));
}
