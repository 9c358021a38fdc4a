/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/socket.h>
#include <sys/types.h>

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "spfservers.h"

/* address port, each with a space behind it. */
static const char *
text(const struct spfservers *s)
{
	static char buf[512];
	char	    host[NI_MAXHOST], port[NI_MAXSERV];
	size_t	    i, n = 0;

	buf[0] = '\0';
	for (i = 0; i < s->n; i++) {
		assert_int_equal(getnameinfo((const struct sockaddr *)&s
						 ->server[i]
						 .addr,
				     s->server[i].len, host, sizeof(host), port,
				     sizeof(port),
				     NI_NUMERICHOST | NI_NUMERICSERV),
		    0);
		n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%s %s ", host,
		    port);
	}
	return (buf);
}

static void
check(const char *resolver, const char *want)
{
	struct spfservers s;

	spfservers_read(&s, resolver);
	assert_string_equal(text(&s), want);
}

static void
test_resolver(void **state)
{
	(void)state;
	check("192.0.2.1", "192.0.2.1 53 ");
	check("192.0.2.1:5353", "192.0.2.1 5353 ");
	check("2001:db8::1", "2001:db8::1 53 ");
	check("[2001:db8::1]", "2001:db8::1 53 ");
	check("[2001:db8::1]:5353", "2001:db8::1 5353 ");
	/* No name is looked up. */
	check("localhost", "");
	check("192.0.2.1:domain", "");
}

static void
check_file(const char *lines, const char *want)
{
	char		  path[UNIT_PATH];
	struct spfservers s;

	unit_write_file(path, lines, strlen(lines));
	spfservers_read_file(&s, path);
	unlink(path);
	assert_string_equal(text(&s), want);
}

static void
test_file(void **state)
{
	(void)state;
	check_file("nameserver 192.0.2.1\n", "192.0.2.1 53 ");
	check_file("# by hand\nsearch example.org\n"
		   "nameserver\t192.0.2.1 # one\n"
		   "nameserver 2001:db8::1\noptions edns0\n",
	    "192.0.2.1 53 2001:db8::1 53 ");
	check_file("nameserver 192.0.2.1\nnameserver 192.0.2.2\n"
		   "nameserver 192.0.2.3\nnameserver 192.0.2.4\n",
	    "192.0.2.1 53 192.0.2.2 53 192.0.2.3 53 ");
	check_file("nameserver nonsense\nnameserver 192.0.2.2",
	    "192.0.2.2 53 ");
	check_file("", "127.0.0.1 53 ");
	check_file("nameserver\nnameservers 192.0.2.1\n;nameserver 192.0.2.1\n",
	    "127.0.0.1 53 ");
}

static void
test_no_file(void **state)
{
	struct spfservers s;

	(void)state;
	spfservers_read_file(&s, "/nowhere/resolv.conf");
	assert_string_equal(text(&s), "127.0.0.1 53 ");
}

static void
test_connect(void **state)
{
	struct spfservers	s;
	struct sockaddr_storage peer;
	socklen_t		len = sizeof(peer);
	int			fd, type;

	(void)state;
	spfservers_read(&s, "127.0.0.1:5353");
	fd = spfservers_connect(&s, 0, false);
	assert_int_not_equal(fd, -1);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
	assert_int_equal(len, s.server[0].len);
	assert_memory_equal(&peer, &s.server[0].addr, len);
	len = sizeof(type);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len), 0);
	assert_int_equal(type, SOCK_DGRAM);
	close(fd);
	assert_int_equal(spfservers_connect(&s, 1, false), -1);
	assert_int_equal(spfservers_connect(&s, SIZE_MAX, true), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_resolver),
		cmocka_unit_test(test_file), cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_connect) };

	return (cmocka_run_group_tests_name("spfservers", tests, NULL, NULL));
}
