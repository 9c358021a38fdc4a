/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * A question to name servers that answer as they are told to, over sockets
 * that somebody else connects: both are a process of this program's own.
 */

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netinet/in.h>

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "spfask.h"
#include "spffd.h"
#include "spfservers.h"
#include "spfwire.h"

#define TIMEOUT 2000 /* milliseconds, for a question */
#define SLACK 1000   /* for a busy machine */
#define LONG 60000   /* bytes of an answer */

enum behaviour {
	ANSWERS,
	SILENT,
	FAILS,
	DENIES,	  /* that there is such a name */
	MISLEADS, /* before it answers */
	TRUNCATES,
	HANGS /* once asked over TCP */
};

struct server {
	enum behaviour how;
	int	       udp;
	int	       tcp;
};

/* What the servers have seen, shared with their process. */
struct seen {
	unsigned int asked[SPFSERVERS_MAX]; /* over UDP */
	in_port_t    from[16];
	unsigned int nfrom;
};

static struct server	 servers[SPFSERVERS_MAX];
static struct spfservers addresses;
static struct seen	*seen;
static pid_t		 pid;
static uint8_t		 answer[65536];

/* The servers. */

static size_t
make_answer(uint8_t *p, size_t len, enum behaviour how)
{
	p[2] = 0x81 | (how == TRUNCATES || how == HANGS ? 0x02 : 0);
	p[3] = 0x80 |
	    (how == FAILS	    ? ns_r_servfail
		    : how == DENIES ? ns_r_nxdomain
				    : 0);
	return (len);
}

static void
serve_udp(const struct server *s, unsigned int i)
{
	uint8_t		   buf[512];
	struct sockaddr_in from = { 0 };
	socklen_t	   fromlen = sizeof(from);
	struct sockaddr	  *to = (struct sockaddr *)&from;
	ssize_t		   n;

	n = recvfrom(s->udp, buf, sizeof(buf), 0, to, &fromlen);
	if (n < NS_HFIXEDSZ)
		return;
	seen->asked[i]++;
	seen->from[seen->nfrom++ % 16] = from.sin_port;
	if (s->how == SILENT)
		return;
	n = (ssize_t)make_answer(buf, (size_t)n, s->how);
	if (s->how == MISLEADS) {
		buf[0] ^= 1; /* another one's */
		sendto(s->udp, buf, (size_t)n, 0, to, fromlen);
		sendto(s->udp, buf, 0, 0, to, fromlen);
		buf[0] ^= 1;
		buf[NS_HFIXEDSZ + 1] ^= 1; /* another name */
		sendto(s->udp, buf, (size_t)n, 0, to, fromlen);
		buf[NS_HFIXEDSZ + 1] ^= 1;
		buf[2] ^= 0x80; /* a question itself */
		sendto(s->udp, buf, (size_t)n, 0, to, fromlen);
		buf[2] ^= 0x80;
		buf[NS_HFIXEDSZ +
		    1] ^= 0x20; /* in other case: it is the same */
	}
	sendto(s->udp, buf, (size_t)n, 0, to, fromlen);
}

/* One question, answered at length; the client waits for the rest. */
static void
serve_tcp(const struct server *s)
{
	static uint8_t buf[2 + LONG];
	ssize_t	       n, done;
	int	       fd = accept(s->tcp, NULL, NULL);

	if (fd == -1)
		return;
	n = recv(fd, buf, 512, 0);
	if (n < 2 + NS_HFIXEDSZ || s->how == HANGS)
		return;
	make_answer(buf + 2, 0, ANSWERS);
	buf[0] = LONG >> 8;
	buf[1] = LONG & 0xff;
	memset(buf + n, 'x', sizeof(buf) - (size_t)n);
	for (done = 0; done < (ssize_t)sizeof(buf); done += n)
		if ((n = send(fd, buf + done, sizeof(buf) - (size_t)done,
			 MSG_NOSIGNAL)) <= 0)
			break;
	close(fd);
}

static void
give_socket(int link)
{
	struct spf_want	 want;
	struct spf_given given = { .nservers = (uint32_t)addresses.n };
	int		 fd;

	if (recv(link, &want, sizeof(want), 0) != (ssize_t)sizeof(want))
		_exit(0);
	fd = spfservers_connect(&addresses, want.server, want.stream);
	given.given = fd != -1;
	spffd_send(link, &given, sizeof(given), fd);
	if (fd != -1)
		close(fd);
}

static void
serve(int link)
{
	struct pollfd pfd[1 + 2 * SPFSERVERS_MAX];
	unsigned int  i;

	for (;;) {
		pfd[0] = (struct pollfd){ link, POLLIN, 0 };
		for (i = 0; i < SPFSERVERS_MAX; i++) {
			pfd[1 + 2 * i] = (struct pollfd){ servers[i].udp,
				POLLIN, 0 };
			pfd[2 + 2 * i] = (struct pollfd){ servers[i].tcp,
				POLLIN, 0 };
		}
		poll(pfd, 1 + 2 * SPFSERVERS_MAX, -1);
		if (pfd[0].revents != 0)
			give_socket(link);
		for (i = 0; i < SPFSERVERS_MAX; i++) {
			if (pfd[1 + 2 * i].revents != 0)
				serve_udp(&servers[i], i);
			if (pfd[2 + 2 * i].revents != 0)
				serve_tcp(&servers[i]);
		}
	}
}

/* The tests. */

static int
listen_on(int type, struct sockaddr_in *sin)
{
	int	  fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*sin);

	if (fd == -1)
		exit(1);
	assert_int_equal(bind(fd, (struct sockaddr *)sin, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)sin, &len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 1), 0);
	return (fd);
}

static void
add_server(enum behaviour how)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	size_t		   i = addresses.n++;

	servers[i].how = how;
	servers[i].tcp = listen_on(SOCK_STREAM, &sin);
	servers[i].udp = listen_on(SOCK_DGRAM, &sin);
	memcpy(&addresses.server[i].addr, &sin, sizeof(sin));
	addresses.server[i].len = sizeof(sin);
}

static void
start(void)
{
	int sp[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
			     sp),
	    0);
	if ((pid = fork()) == 0) {
		close(SPF_STARTER_FD);
		close(sp[0]);
		serve(sp[1]);
	}
	close(sp[1]);
	assert_int_equal(dup2(sp[0], SPF_STARTER_FD), SPF_STARTER_FD);
	close(sp[0]);
	spfask_init(TIMEOUT);
}

static int
begin(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < SPFSERVERS_MAX; i++)
		servers[i].udp = servers[i].tcp = -1;
	addresses.n = 0;
	memset(seen, 0, sizeof(*seen));
	return (0);
}

static int
end(void **state)
{
	size_t i;

	(void)state;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (i = 0; i < addresses.n; i++) {
		close(servers[i].udp);
		close(servers[i].tcp);
	}
	return (0);
}

static int
ask(void)
{
	return (spfask("example.test", ns_t_txt, answer, sizeof(answer)));
}

static void
test_answer(void **state)
{
	(void)state;
	add_server(ANSWERS);
	start();
	assert_int_equal(ask(), NS_HFIXEDSZ + 14 + NS_QFIXEDSZ);
	assert_memory_equal(answer + NS_HFIXEDSZ, "\7example\4test\0\0\20\0\1",
	    18);
}

/* A server's time is its part of the question's; then it comes last. */
static void
test_silent_server(void **state)
{
	int64_t began = unit_now();

	(void)state;
	add_server(SILENT);
	add_server(ANSWERS);
	start();
	assert_true(ask() > 0);
	assert_in_range(unit_now() - began, TIMEOUT / 2 - 1, TIMEOUT - 1);
	assert_true(ask() > 0);
	assert_int_equal(seen->asked[0], 1);
	assert_int_equal(seen->asked[1], 2);
}

static void
test_all_silent(void **state)
{
	int64_t began = unit_now();

	(void)state;
	add_server(SILENT);
	add_server(SILENT);
	add_server(SILENT);
	start();
	assert_int_equal(ask(), -TRY_AGAIN);
	assert_in_range(unit_now() - began, TIMEOUT - 1, TIMEOUT + SLACK);
	assert_int_equal(seen->asked[2], 1);
}

static void
test_failing_server(void **state)
{
	int64_t began = unit_now();

	(void)state;
	add_server(FAILS);
	add_server(ANSWERS);
	start();
	assert_true(ask() > 0);
	assert_in_range(unit_now() - began, 0, TIMEOUT / 2 - 1);
}

static void
test_all_fail(void **state)
{
	(void)state;
	add_server(FAILS);
	add_server(FAILS);
	start();
	assert_int_equal(ask(), -TRY_AGAIN);
	assert_int_equal(seen->asked[1], 1);
}

/* Nobody is at home, which ICMP tells. */
static void
test_no_server(void **state)
{
	int64_t began = unit_now();

	(void)state;
	add_server(ANSWERS);
	close(servers[0].udp);
	servers[0].udp = -1;
	start();
	assert_int_equal(ask(), -TRY_AGAIN);
	assert_in_range(unit_now() - began, 0, TIMEOUT - 1);
}

static void
test_no_server_known(void **state)
{
	(void)state;
	start();
	assert_int_equal(ask(), -TRY_AGAIN);
}

/* That there is no such name is an answer. */
static void
test_denied(void **state)
{
	(void)state;
	add_server(DENIES);
	add_server(ANSWERS);
	start();
	assert_int_equal(ask(), -HOST_NOT_FOUND);
	assert_int_equal(seen->asked[1], 0);
}

static void
test_misleading(void **state)
{
	(void)state;
	add_server(MISLEADS);
	start();
	assert_int_equal(ask(), NS_HFIXEDSZ + 14 + NS_QFIXEDSZ);
	assert_memory_equal(answer + NS_HFIXEDSZ, "\7Example\4test", 14);
}

static void
test_long(void **state)
{
	size_t i;

	(void)state;
	add_server(TRUNCATES);
	start();
	assert_int_equal(ask(), LONG);
	for (i = NS_HFIXEDSZ + 14 + NS_QFIXEDSZ; i < LONG; i++)
		if (answer[i] != 'x')
			fail_msg("byte %zu", i);
	/* More than there is room for is none. */
	assert_int_equal(spfask("example.test", ns_t_txt, answer, LONG - 1),
	    -TRY_AGAIN);
}

static void
test_long_that_never_comes(void **state)
{
	int64_t began = unit_now();

	(void)state;
	add_server(HANGS);
	start();
	assert_int_equal(ask(), -TRY_AGAIN);
	assert_in_range(unit_now() - began, TIMEOUT - 1, TIMEOUT + SLACK);
}

/* Who does not see the question has to guess where its answer is awaited. */
static void
test_ports(void **state)
{
	unsigned int i, others = 0;

	(void)state;
	add_server(ANSWERS);
	start();
	for (i = 0; i < 8; i++) {
		assert_true(ask() > 0);
		others += seen->from[i] != seen->from[0];
	}
	assert_in_range(others, 5, 7);
}

static void
test_no_name(void **state)
{
	(void)state;
	add_server(ANSWERS);
	start();
	assert_int_equal(spfask("a..test", ns_t_txt, answer, sizeof(answer)),
	    -NO_RECOVERY);
	assert_int_equal(seen->asked[0], 0);
}

static void
test_starter_gone(void **state)
{
	int   status;
	pid_t asking;

	(void)state;
	add_server(ANSWERS);
	start();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if ((asking = fork()) == 0) {
		ask();
		_exit(0);
	}
	assert_int_equal(waitpid(asking, &status, 0), asking);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = { TEST(test_answer),
		TEST(test_silent_server), TEST(test_all_silent),
		TEST(test_failing_server), TEST(test_all_fail),
		TEST(test_no_server), TEST(test_no_server_known),
		TEST(test_denied), TEST(test_misleading), TEST(test_long),
		TEST(test_long_that_never_comes), TEST(test_ports),
		TEST(test_no_name), TEST(test_starter_gone) };

	/* Nothing else may come to have this number. */
	dup2(STDIN_FILENO, SPF_STARTER_FD);
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED)
		return (1);
	return (cmocka_run_group_tests_name("spfask", tests, NULL, NULL));
}
