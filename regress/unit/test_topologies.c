/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/* Sentinels, a cluster, and replicas that are waited for. */

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "conf.h"
#include "fakenode.h"
#include "log.h"
#include "server.h"
#include "servers.h"

#define OF_A "bar" /* keys of the lower and the upper half of the slots */
#define OF_B "foo"
#define SLOT_B "12182"
#define NOBODY "*-1\r\n"
#define TIMEOUT 400

static struct event_base  *base;
static struct conf	   conf;
static struct servers	  *servers;
static struct fakenode	   a, b, c, sentinels[3];
static struct unit_capture capture;
static char		   texts[8][1024];

/* What callbacks got; -1: no reply. */
struct got {
	int	  called;
	long long integer;
};

static struct got got[64];

static void
on_reply(void *arg, const redisReply *reply)
{
	struct got *g = arg;

	g->called++;
	g->integer = reply == REDIS_NO_REPLY ? -1 : reply->integer;
	if (reply != REDIS_NO_REPLY && reply->type == REDIS_REPLY_ERROR)
		g->integer = -2;
}

static int
set_up(void **state)
{
	static char prefix[] = "smtp:", redis[] = "test";
	size_t	    i;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	log_init("unit");
	memset(got, 0, sizeof(got));
	memset(&conf, 0, sizeof(conf));
	conf.redis = redis;
	conf.prefix = prefix;
	conf.redis_timeout = UNIT_PATIENCE;
	base = event_base_new();
	fakenode_start(&a, base);
	fakenode_start(&b, base);
	fakenode_start(&c, base);
	for (i = 0; i < 3; i++) {
		fakenode_start(&sentinels[i], base);
		fakenode_say(&sentinels[i], "SENTINEL", NOBODY);
		fakenode_say(&sentinels[i], "SUBSCRIBE",
		    "*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n");
	}
	unit_capture(&capture);
	return (0);
}

static int
tear_down(void **state)
{
	size_t i;

	(void)state;
	unit_captured(&capture);
	servers_free(servers);
	servers = NULL;
	for (i = 0; i < 3; i++)
		fakenode_stop(&sentinels[i]);
	fakenode_stop(&a);
	fakenode_stop(&b);
	fakenode_stop(&c);
	event_base_free(base);
	return (0);
}

static struct servers_req *
ask(size_t i, const char *key)
{
	const char *argv[] = { "GET", key };

	return (servers_send(servers, key, on_reply, &got[i], 2, argv));
}

/* Sentinels */

static void
start_sentinels(void)
{
	size_t i;

	conf.places.topology = REDIS_SENTINEL;
	conf.places.n = 3;
	strcpy(conf.places.name, "users");
	for (i = 0; i < 3; i++)
		conf.places.at[i] = sentinels[i].place;
	servers = servers_new(base, &conf);
	assert_non_null(servers);
}

static void
names(size_t i, const struct fakenode *primary)
{
	char port[8];

	snprintf(port, sizeof(port), "%d", primary->place.port);
	snprintf(texts[i], sizeof(texts[i]),
	    "*2\r\n$9\r\n127.0.0.1\r\n$%zu\r\n%s\r\n", strlen(port), port);
	fakenode_say(&sentinels[i], "SENTINEL", texts[i]);
}

static void
all_name(const struct fakenode *primary)
{
	size_t i;

	for (i = 0; i < 3; i++)
		names(i, primary);
}

/* Until each of them has been asked so many times more. */
static void
all_asked(size_t times)
{
	size_t before[3], i;

	for (i = 0; i < 3; i++)
		before[i] = fakenode_heard(&sentinels[i], "SENTINEL");
	for (i = 0; i < 3; i++)
		unit_run_until(base,
		    fakenode_heard(&sentinels[i], "SENTINEL") >=
			before[i] + times);
}

static void
test_majority(void **state)
{
	(void)state;
	names(0, &a);
	start_sentinels();
	all_asked(2);
	assert_null(ask(0, "k"));
	assert_int_equal(a.npeers, 0);
	names(2, &b);
	all_asked(2);
	assert_int_equal(a.npeers + b.npeers, 0);
	names(1, &a);
	unit_run_until(base, servers_ready(servers));
	assert_int_equal(fakenode_heard(&a, "HELLO 2"), 1);
	assert_int_equal(b.npeers, 0);
	assert_contains(sentinels[0].log,
	    "SENTINEL GET-MASTER-ADDR-BY-NAME users\n");
}

static void
test_switch(void **state)
{
	(void)state;
	all_name(&a);
	start_sentinels();
	unit_run_until(base, servers_ready(servers));
	assert_non_null(ask(0, "k"));
	names(0, &b);
	all_asked(2);
	assert_int_equal(b.npeers, 0);
	assert_int_equal(got[0].called, 0);
	names(1, &b);
	unit_run_until(base, got[0].called);
	assert_int_equal(got[0].integer, -1);
	unit_run_until(base, servers_ready(servers));
	assert_int_equal(a.npeers, 0);
	fakenode_say(&b, "GET", ":7\r\n");
	assert_non_null(ask(1, "k"));
	unit_run_until(base, got[1].called);
	assert_int_equal(got[1].integer, 7);
	assert_contains(unit_captured(&capture),
	    "redis: test: the primary is 127.0.0.1:");
}

/* What was agreed on stands while nobody can be asked. */
static void
test_no_sentinels(void **state)
{
	size_t i;

	(void)state;
	all_name(&a);
	start_sentinels();
	unit_run_until(base, servers_ready(servers));
	for (i = 0; i < 3; i++)
		fakenode_stop(&sentinels[i]);
	fakenode_say(&a, "GET", ":7\r\n");
	assert_non_null(ask(0, "k"));
	unit_run_until(base, got[0].called);
	assert_int_equal(got[0].integer, 7);
}

static void
test_replica(void **state)
{
	(void)state;
	fakenode_say(&a, "HELLO", "*2\r\n$4\r\nrole\r\n$7\r\nreplica\r\n");
	all_name(&a);
	start_sentinels();
	unit_run_until(base, fakenode_heard(&a, "HELLO") >= 3);
	assert_false(servers_ready(servers));
	fakenode_say(&a, "HELLO", "*2\r\n$4\r\nrole\r\n$6\r\nmaster\r\n");
	unit_run_until(base, servers_ready(servers));
	/* And when it becomes one later. */
	fakenode_say(&a, "GET", "-READONLY You can't write\r\n");
	assert_non_null(ask(0, "k"));
	unit_run_until(base, got[0].called);
	assert_int_equal(got[0].integer, -1);
	unit_run_until(base, !servers_ready(servers));
}

/* Without messages they would be asked once a second. */
static void
test_message(void **state)
{
	int64_t began;
	size_t	i;

	(void)state;
	all_name(&a);
	start_sentinels();
	unit_run_until(base, servers_ready(servers));
	unit_run_until(base,
	    fakenode_heard(&sentinels[0], "SUBSCRIBE +switch-master") == 1);
	began = unit_now();
	for (i = 0; i < 30; i++) {
		fakenode_send(&sentinels[0], "SUBSCRIBE",
		    "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n"
		    "$1\r\nx\r\n");
		all_asked(1);
	}
	assert_true(unit_now() - began < 20000);
	assert_true(servers_ready(servers));
}

static void
test_password(void **state)
{
	static char password[] = "s3cret";

	(void)state;
	conf.redis_password = password;
	all_name(&a);
	fakenode_say(&sentinels[1], "SENTINEL",
	    "-NOAUTH Authentication required.\r\n");
	fakenode_say(&sentinels[1], "PING",
	    "-NOAUTH Authentication required.\r\n");
	start_sentinels();
	unit_run_until(base, servers_ready(servers));
	assert_int_equal(fakenode_heard(&a, "AUTH s3cret"), 1);
	unit_run_until(base, fakenode_heard(&sentinels[1], "AUTH") > 0);
	all_asked(2);
	assert_int_equal(fakenode_heard(&sentinels[0], "AUTH"), 0);
	assert_int_equal(fakenode_heard(&sentinels[2], "AUTH"), 0);
}

/* A cluster */

#define PORT(node) (int)(node)->place.port

static void
map_is(struct fakenode *node, const char *text, const struct fakenode *lower,
    const struct fakenode *upper)
{
	static char maps[3][512];
	char	   *map = maps[node == &a ? 0 : node == &b ? 1 : 2];

	snprintf(map, sizeof(maps[0]),
	    "*2\r\n*3\r\n:0\r\n:8191\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n"
	    "*3\r\n:8192\r\n:16383\r\n*2\r\n$0\r\n\r\n:%d\r\n",
	    PORT(lower), PORT(upper));
	fakenode_say(node, "CLUSTER SLOTS", map);
	fakenode_say(node, "CLUSTER INFO", text);
}

#define WELL "$16\r\ncluster_state:ok\r\n"
#define ILL "$18\r\ncluster_state:fail\r\n"

static void
start_cluster(void)
{
	map_is(&a, WELL, &a, &b);
	map_is(&b, WELL, &a, &b);
	map_is(&c, WELL, &a, &b);
	conf.places.topology = REDIS_CLUSTER;
	conf.places.n = 1;
	conf.places.at[0] = a.place;
	servers = servers_new(base, &conf);
	assert_non_null(servers);
	unit_run_until(base,
	    servers_of_key(servers, OF_B) != NULL &&
		server_ready(servers_of_key(servers, OF_B)));
}

static void
answer(size_t i, const char *key, long long want)
{
	assert_non_null(ask(i, key));
	unit_run_until(base, got[i].called);
	assert_int_equal(got[i].integer, want);
	assert_int_equal(got[i].called, 1);
}

static char *
error(const char *format, const struct fakenode *node)
{
	snprintf(texts[7], sizeof(texts[7]), format, PORT(node));
	return (texts[7]);
}

static void
test_owners(void **state)
{
	(void)state;
	start_cluster();
	fakenode_say(&a, "GET", ":1\r\n");
	fakenode_say(&b, "GET", ":2\r\n");
	answer(0, OF_A, 1);
	answer(1, OF_B, 2);
	answer(2, "smtp:user:{" OF_B "}:ips", 2);
	assert_int_equal(fakenode_heard(&a, "GET"), 1);
}

static void
test_moved(void **state)
{
	const size_t maps = 1;

	(void)state;
	start_cluster();
	fakenode_say(&a, "GET", ":1\r\n");
	fakenode_say(&b, "GET",
	    error("-MOVED " SLOT_B " 127.0.0.1:%d\r\n", &a));
	map_is(&a, WELL, &a, &a);
	map_is(&b, WELL, &a, &a);
	answer(0, OF_B, 1);
	answer(1, OF_B, 1);
	assert_int_equal(fakenode_heard(&b, "GET"), 1);
	/* And the whole map is asked for. */
	unit_run_until(base,
	    fakenode_heard(&a, "CLUSTER SLOTS") +
		    fakenode_heard(&b, "CLUSTER SLOTS") >
		maps);
	assert_lacks(unit_captured(&capture), "MOVED");
}

/* To a node that nobody has spoken of, which is waited for. */
static void
test_moved_to_new(void **state)
{
	(void)state;
	start_cluster();
	fakenode_say(&c, "GET", ":3\r\n");
	fakenode_say(&b, "GET", error("-MOVED " SLOT_B " :%d\r\n", &c));
	answer(0, OF_B, 3);
	assert_int_equal(fakenode_heard(&c, "GET " OF_B), 1);
}

static void
test_ask(void **state)
{
	(void)state;
	start_cluster();
	fakenode_say(&c, "ASKING", "+OK\r\n");
	fakenode_say(&c, "GET", ":3\r\n");
	fakenode_say(&b, "GET", error("-ASK " SLOT_B " 127.0.0.1:%d\r\n", &c));
	answer(0, OF_B, 3);
	assert_contains(c.log, "ASKING\nGET " OF_B "\n");
	fakenode_say(&b, "GET", ":2\r\n");
	answer(1, OF_B, 2);
}

static void
test_later(void **state)
{
	(void)state;
	start_cluster();
	fakenode_say(&b, "GET", "-TRYAGAIN Multiple keys\r\n");
	assert_non_null(ask(0, OF_B));
	unit_run_until(base, fakenode_heard(&b, "GET") >= 3);
	assert_int_equal(got[0].called, 0);
	fakenode_say(&b, "GET", ":2\r\n");
	unit_run_until(base, got[0].called);
	assert_int_equal(got[0].integer, 2);
}

static void
test_too_late(void **state)
{
	int64_t began;

	(void)state;
	conf.redis_timeout = TIMEOUT;
	start_cluster();
	fakenode_say(&b, "GET", "-CLUSTERDOWN The cluster is down\r\n");
	began = unit_now();
	answer(0, OF_B, -1);
	assert_true(unit_now() - began >= TIMEOUT * 9 / 10);
	assert_true(fakenode_heard(&b, "GET") > 1);
}

/* From one to the other and back again, until the time is over. */
static void
test_circle(void **state)
{
	char to_a[64];

	(void)state;
	conf.redis_timeout = TIMEOUT;
	start_cluster();
	snprintf(to_a, sizeof(to_a), "-MOVED " SLOT_B " :%d\r\n", PORT(&a));
	fakenode_say(&b, "GET", to_a);
	fakenode_say(&a, "GET", error("-MOVED " SLOT_B " :%d\r\n", &b));
	answer(0, OF_B, -1);
	assert_in_range(fakenode_heard(&b, "GET"), 2, 40);
}

/* A node that has lost the others tells what it was. */
static void
test_cut_off(void **state)
{
	(void)state;
	start_cluster();
	map_is(&a, ILL, &b, &b);
	map_is(&b, ILL, &b, &b);
	fakenode_say(&a, "GET", "-TRYAGAIN\r\n");
	assert_non_null(ask(0, OF_A));
	unit_run_until(base,
	    fakenode_heard(&a, "CLUSTER SLOTS") +
		    fakenode_heard(&b, "CLUSTER SLOTS") >=
		3);
	fakenode_say(&a, "GET", ":1\r\n");
	unit_run_until(base, got[0].called);
	assert_int_equal(got[0].integer, 1);
	map_is(&a, WELL, &b, &b);
	map_is(&b, WELL, &b, &b);
	unit_run_until(base,
	    servers_of_key(servers, OF_A) == servers_of_key(servers, OF_B));
}

static void
test_away(void **state)
{
	(void)state;
	start_cluster();
	fakenode_say(&a, "GET", ":1\r\n");
	assert_non_null(ask(0, OF_B));
	fakenode_stop(&b);
	unit_run_until(base, got[0].called);
	assert_int_equal(got[0].integer, -1);
	answer(1, OF_A, 1);
	assert_true(servers_ready(servers));
	/* Its replica has taken over. */
	map_is(&a, WELL, &a, &c);
	fakenode_say(&c, "GET", ":3\r\n");
	unit_run_until(base, server_ready(servers_of_key(servers, OF_B)));
	answer(2, OF_B, 3);
}

static void
test_free_strays(void **state)
{
	(void)state;
	start_cluster();
	fakenode_say(&b, "GET", "-TRYAGAIN\r\n");
	assert_non_null(ask(0, OF_B));
	assert_non_null(ask(1, OF_A));
	unit_run_until(base, fakenode_heard(&b, "GET") == 2);
	servers_cancel(ask(2, OF_B));
	servers_free(servers);
	servers = NULL;
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(got[0].called + got[1].called + got[2].called, 0);
}

/* Replicas */

#define HAS_ONE "$18\r\nconnected_slaves:1\r\n"
#define HAS_TWO "$18\r\nconnected_slaves:2\r\n"

static void
start_commits(void)
{
	conf.places.n = 1;
	conf.places.at[0] = a.place;
	conf.redis_replicas = 2;
	fakenode_say(&a, "FCALL f", ":7\r\n");
	fakenode_say(&a, "INFO replication", NODE_HOLD);
	servers = servers_new(base, &conf);
	assert_non_null(servers);
	unit_run_until(base, servers_ready(servers));
}

static struct servers_req *
commit(size_t i)
{
	const char *argv[] = { "FCALL", "f", "1", "k" };

	return (servers_commit(servers, "k", on_reply, &got[i], 4, argv));
}

/* The first one finds no connection yet. */
static void
first_commit(size_t i)
{
	struct servers_req *sr = commit(i);

	assert_null(sr);
	unit_run_until(base, sr != NULL || (sr = commit(i)) != NULL);
}

static void
answer_wait(const char *replicas, const char *info)
{
	fakenode_send(&a, "WAIT", replicas);
	fakenode_send(&a, "WAIT", info);
}

static void
test_commit(void **state)
{
	(void)state;
	start_commits();
	first_commit(0);
	unit_run_until(base, fakenode_heard(&a, "INFO replication") == 1);
	assert_contains(a.log, "FCALL f 1 k\nWAIT 2 30000\nINFO rep");
	assert_int_equal(got[0].called, 0);
	answer_wait(":2\r\n", HAS_TWO);
	unit_run_until(base, got[0].called);
	assert_int_equal(got[0].integer, 7);
	/* One replica is not enough. */
	fakenode_say(&a, "WAIT", ":1\r\n");
	fakenode_say(&a, "INFO replication", HAS_TWO);
	assert_non_null(commit(1));
	unit_run_until(base, got[1].called);
	assert_int_equal(got[1].integer, -1);
	/* An error needs none. */
	fakenode_say(&a, "WAIT", NODE_HOLD);
	fakenode_say(&a, "FCALL f", "-ERR no\r\n");
	assert_non_null(commit(2));
	unit_run_until(base, got[2].called);
	assert_int_equal(got[2].integer, -2);
}

/* All that there are are waited for; a slow one is not for a while. */
static void
test_slow_replica(void **state)
{
	(void)state;
	start_commits();
	conf.redis_replicas = 1;
	fakenode_say(&a, "WAIT", ":2\r\n");
	fakenode_say(&a, "INFO replication", HAS_TWO);
	first_commit(0);
	unit_run_until(base, got[0].called);
	assert_non_null(commit(1));
	unit_run_until(base, got[1].called);
	assert_int_equal(fakenode_heard(&a, "WAIT 1 "), 1);
	assert_int_equal(fakenode_heard(&a, "WAIT 2 "), 1);
	fakenode_say(&a, "WAIT", ":1\r\n");
	assert_non_null(commit(2));
	unit_run_until(base, got[2].called);
	assert_int_equal(got[2].integer, 7);
	assert_non_null(commit(3));
	unit_run_until(base, got[3].called);
	assert_int_equal(got[3].integer, 7);
	assert_int_equal(fakenode_heard(&a, "WAIT 1 "), 2);
	assert_int_equal(fakenode_heard(&a, "WAIT 2 "), 2);
}

/* It may have become the primary. */
static void
test_replica_gone(void **state)
{
	const int64_t began = unit_now();
	int64_t	      pause;
	size_t	      n = 1;

	(void)state;
	start_commits();
	conf.redis_replicas = 1;
	fakenode_say(&a, "WAIT", ":2\r\n");
	fakenode_say(&a, "INFO replication", HAS_TWO);
	first_commit(0);
	unit_run_until(base, got[0].called);
	fakenode_say(&a, "WAIT", ":1\r\n");
	fakenode_say(&a, "INFO replication", HAS_ONE);
	do {
		pause = unit_now() + 100;
		unit_run_until(base, unit_now() >= pause);
		got[1].called = 0;
		assert_non_null(commit(1));
		unit_run_until(base, got[1].called);
		n++;
	} while (got[1].integer != 7);
	assert_true(n > 2 && unit_now() - began >= 3000);
}

/* Those that come while one WAIT is under way share the next. */
static void
test_group(void **state)
{
	size_t i;

	(void)state;
	start_commits();
	first_commit(0);
	unit_run_until(base, fakenode_heard(&a, "WAIT") == 1);
	for (i = 1; i < 50; i++)
		assert_non_null(commit(i));
	servers_cancel(commit(50));
	assert_int_equal(fakenode_heard(&a, "FCALL f"), 1);
	answer_wait(":2\r\n", HAS_TWO);
	unit_run_until(base, fakenode_heard(&a, "WAIT") == 2);
	assert_int_equal(fakenode_heard(&a, "FCALL f"), 50);
	assert_int_equal(got[0].called, 1);
	assert_int_equal(got[49].called, 0);
	answer_wait(":3\r\n", HAS_TWO);
	unit_run_until(base, got[49].called);
	for (i = 1; i < 50; i++)
		assert_int_equal(got[i].integer, 7);
	assert_int_equal(got[50].called, 0);
	assert_int_equal(fakenode_heard(&a, "WAIT"), 2);
}

static void
test_commit_lost(void **state)
{
	(void)state;
	start_commits();
	first_commit(0);
	unit_run_until(base, fakenode_heard(&a, "WAIT") == 1);
	assert_non_null(commit(1));
	fakenode_stop(&a);
	unit_run_until(base, got[0].called && got[1].called);
	assert_int_equal(got[0].integer, -1);
	assert_int_equal(got[1].integer, -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(test_majority), TEST(test_switch), TEST(test_no_sentinels),
		TEST(test_replica), TEST(test_message), TEST(test_password),
		TEST(test_owners), TEST(test_moved), TEST(test_moved_to_new),
		TEST(test_ask), TEST(test_later), TEST(test_too_late),
		TEST(test_circle), TEST(test_cut_off), TEST(test_away),
		TEST(test_free_strays), TEST(test_commit), TEST(test_group),
		TEST(test_slow_replica), TEST(test_replica_gone),
		TEST(test_commit_lost)
	};

	return (cmocka_run_group_tests_name("topologies", tests, NULL, NULL));
}
