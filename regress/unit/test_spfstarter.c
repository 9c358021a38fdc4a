/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * The starter of workers, with workers that have been taken over: this
 * program's own, which do as they are told by the question.
 */

#include <sys/socket.h>
#include <sys/types.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "log.h"
#include "sandbox.h"
#include "spffd.h"
#include "spfstarter.h"
#include "spfwire.h"
#include "spfworkers.h"

#define FLOOD 10000

static struct spfworkers *workers;
static in_port_t	  names; /* of the name server, in network order */
static in_port_t	  redis; /* of what nobody may reach */
static int		  names_fd, redis_fd;

static struct sockaddr_in
loopback(in_port_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = port,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return (sin);
}

/* The worker. */

static void
reply(const char *text)
{
	if (send(STDIN_FILENO, text, strlen(text), 0) == -1)
		_exit(1);
}

static int
get_socket(uint32_t server, bool stream)
{
	struct spf_want	 want;
	struct spf_given given;
	int		 fd;

	memset(&want, 0, sizeof(want));
	want.server = server;
	want.stream = stream;
	if (!spffd_send(SPF_STARTER_FD, &want, sizeof(want), -1) ||
	    spffd_recv(SPF_STARTER_FD, &given, sizeof(given), &fd, 0) !=
		(ssize_t)sizeof(given))
		_exit(2);
	if (given.given != (fd != -1) || given.nservers != 1)
		_exit(3);
	return (fd);
}

/* Whose port a socket is connected to. */
static void
tell_peer(uint32_t server, bool stream)
{
	struct sockaddr_in sin = { 0 };
	socklen_t	   len = sizeof(sin);
	char		   text[32] = "none";
	int		   fd = get_socket(server, stream);

	if (fd != -1) {
		if (getpeername(fd, (struct sockaddr *)&sin, &len) == -1)
			_exit(4);
		snprintf(text, sizeof(text), "%d", sin.sin_port);
		close(fd);
	}
	reply(text);
}

/* Whether the starter hangs up, and that for good. */
static void
send_nonsense(size_t len)
{
	char buf[256] = { 0 };

	send(SPF_STARTER_FD, buf, len, 0);
	reply(recv(SPF_STARTER_FD, buf, sizeof(buf), 0) <= 0 ? "hung up"
							     : "answer");
}

/* Asks, and never takes what it gets. */
static void
flood(void)
{
	struct spf_want want;
	int		i;

	memset(&want, 0, sizeof(want));
	for (i = 0; i < FLOOD; i++)
		if (send(SPF_STARTER_FD, &want, sizeof(want), MSG_NOSIGNAL) ==
		    -1)
			break;
	reply("flooded");
}

/* With a socket to a name server, as a worker is, to somewhere else. */
static void
reach(in_port_t port, bool stream)
{
	struct sockaddr_in sin = loopback(port);
	int		   fd = get_socket(0, stream);
	ssize_t		   n;

	if (fd == -1 || !sandbox_worker())
		_exit(5);
	reply("confined");
	if (stream)
		n = connect(fd, (struct sockaddr *)&sin, sizeof(sin));
	else
		n = sendto(fd, "x", 1, 0, (struct sockaddr *)&sin, sizeof(sin));
	reply(n == -1 ? "refused" : "reached");
}

static void
obey(const char *order)
{
	unsigned long arg = 0;
	const char   *space = strchr(order, ' ');

	if (space != NULL)
		arg = strtoul(space + 1, NULL, 10);
	if (strncmp(order, "udp", 3) == 0)
		tell_peer((uint32_t)arg, false);
	else if (strncmp(order, "tcp", 3) == 0)
		tell_peer((uint32_t)arg, true);
	else if (strncmp(order, "nonsense", 8) == 0)
		send_nonsense(arg);
	else if (strncmp(order, "flood", 5) == 0)
		flood();
	else if (strncmp(order, "connect", 7) == 0)
		reach((in_port_t)arg, true);
	else if (strncmp(order, "send", 4) == 0)
		reach((in_port_t)arg, false);
	else if (strncmp(order, "pid", 3) == 0) {
		char text[32];

		snprintf(text, sizeof(text), "%d", (int)getpid());
		reply(text);
	} else
		pause();
}

static int
work(void)
{
	struct spf_orders orders;
	char		  order[64];
	ssize_t		  n;

	if (!sandbox_child() ||
	    recv(STDIN_FILENO, &orders, sizeof(orders), 0) == -1)
		return (1);
	while ((n = recv(STDIN_FILENO, order, sizeof(order) - 1, 0)) > 0) {
		order[n] = '\0';
		obey(order);
	}
	return (0);
}

/* The tests. */

static int
listen_on(int type, in_port_t *port)
{
	struct sockaddr_in sin = loopback(*port);
	socklen_t	   len = sizeof(sin);
	int		   fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);

	if (fd == -1 || bind(fd, (struct sockaddr *)&sin, len) == -1 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) == -1 ||
	    (type == SOCK_STREAM && listen(fd, 5) == -1))
		exit(1);
	*port = sin.sin_port;
	return (fd);
}

static int
start(void **state)
{
	(void)state;
	names = redis = 0;
	names_fd = listen_on(SOCK_STREAM, &names);
	redis_fd = listen_on(SOCK_STREAM, &redis);
	return ((workers = spfworkers_new()) == NULL ? -1 : 0);
}

static int
end(void **state)
{
	(void)state;
	alarm(UNIT_PATIENCE / 1000);
	spfworkers_free(workers);
	alarm(0);
	close(names_fd);
	close(redis_fd);
	return (0);
}

static int
start_worker(size_t number)
{
	const struct spf_orders orders = { .mode = SPF_PUBLISHED };
	char			resolver[32];
	int			fd;

	snprintf(resolver, sizeof(resolver), "127.0.0.1:%d", ntohs(names));
	fd = spfworkers_start(workers, number, resolver, &orders);
	assert_int_not_equal(fd, -1);
	return (fd);
}

static const char *
hear(int fd)
{
	static char   text[64];
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	ssize_t	      n;

	assert_int_equal(poll(&pfd, 1, UNIT_PATIENCE), 1);
	if ((n = recv(fd, text, sizeof(text) - 1, 0)) <= 0)
		return ("ended");
	text[n] = '\0';
	return (text);
}

static const char *
tell(int fd, const char *order)
{
	if (send(fd, order, strlen(order), MSG_NOSIGNAL) == -1)
		return ("ended");
	return (hear(fd));
}

static void
check_served(int fd)
{
	char port[32];

	snprintf(port, sizeof(port), "%d", names);
	assert_string_equal(tell(fd, "udp 0"), port);
	assert_string_equal(tell(fd, "tcp 0"), port);
}

static void
test_sockets(void **state)
{
	int fd = start_worker(0);

	(void)state;
	check_served(fd);
	assert_string_equal(tell(fd, "udp 1"), "none");
	assert_string_equal(tell(fd, "tcp 4294967295"), "none");
	check_served(fd);
	close(fd);
}

static void
test_nonsense(void **state)
{
	static const char *const orders[] = { "nonsense 1", "nonsense 0",
		"nonsense 256" };
	int			 good = start_worker(0), fd;
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		fd = start_worker(1);
		assert_string_equal(tell(fd, orders[i]), "hung up");
		close(fd);
		check_served(good);
	}
	close(good);
}

/* It is hung up on, and others are served meanwhile. */
static void
test_flood(void **state)
{
	int good = start_worker(0), fd = start_worker(1);

	(void)state;
	assert_string_equal(tell(fd, "flood"), "flooded");
	check_served(good);
	assert_string_equal(tell(fd, "udp 0"), "ended");
	close(fd);
	close(good);
}

static bool
is_gone(pid_t pid)
{
	int64_t limit = unit_now() + UNIT_PATIENCE;

	while (kill(pid, 0) == 0 && unit_now() < limit)
		usleep(1000);
	return (kill(pid, 0) == -1 && errno == ESRCH);
}

/* Whatever it does, and whoever stands in its place. */
static void
test_stop(void **state)
{
	int   fd = start_worker(63), next;
	pid_t pid = (pid_t)strtol(tell(fd, "pid"), NULL, 10);

	(void)state;
	assert_int_equal(send(fd, "sleep", 5, 0), 5);
	spfworkers_stop(workers, 63);
	assert_string_equal(hear(fd), "ended");
	assert_true(is_gone(pid));
	close(fd);
	fd = start_worker(63);
	pid = (pid_t)strtol(tell(fd, "pid"), NULL, 10);
	next = start_worker(63);
	assert_true(is_gone(pid));
	check_served(next);
	close(fd);
	close(next);
}

/* What the sockets are for, and nothing else: not even a Redis on TCP. */
static void
check_unreachable(const char *how)
{
	char order[32];
	int  fd = start_worker(0);

	snprintf(order, sizeof(order), "%s %d", how, redis);
	assert_string_equal(tell(fd, order), "confined");
	assert_string_equal(hear(fd), "ended");
	assert_int_equal(accept(redis_fd, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
}

static void
test_unreachable(void **state)
{
	(void)state;
	check_unreachable("connect");
	check_unreachable("send");
}

static void
test_starter_gone(void **state)
{
	const struct spf_orders orders = { .mode = SPF_PUBLISHED };
	struct unit_capture	c;
	int			fd = start_worker(0);
	pid_t			pid;

	(void)state;
	pid = (pid_t)strtol(tell(fd, "pid"), NULL, 10);
	/* Which is the worker's parent, and the only child. */
	assert_int_equal(kill(unit_child(getpid()), SIGKILL), 0);
	assert_string_equal(hear(fd), "ended");
	assert_true(is_gone(pid));
	close(fd);
	unit_capture(&c);
	assert_int_equal(spfworkers_start(workers, 0, NULL, &orders), -1);
	assert_int_equal(spfworkers_start(workers, 0, NULL, &orders), -1);
	assert_contains(unit_captured(&c), "the process that starts workers");
}

int
main(int argc, char *argv[])
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)
	const struct CMUnitTest tests[] = { TEST(test_sockets),
		TEST(test_nonsense), TEST(test_flood), TEST(test_stop),
		TEST(test_unreachable), TEST(test_starter_gone) };

	if (argc == 2 && strcmp(argv[1], "-W") == 0)
		return (work());
	if (argc == 2 && strcmp(argv[1], "-S") == 0)
		spfstarter();
	log_init("test_spfstarter");
	signal(SIGPIPE, SIG_IGN);
	return (cmocka_run_group_tests_name("spfstarter", tests, NULL, NULL));
}
