/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/socket.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "unit.h"

/* What would go to syslog(3) comes here. */
static char sent[2048];
static int  facility, sent_at;

static void
fake_openlog(const char *name, int option, int fac)
{
	(void)option;
	assert_string_equal(name, "unit");
	facility = fac;
}

static void
fake_syslog(int priority, const char *fmt, const char *line)
{
	sent_at = priority;
	assert_string_equal(fmt, "%s");
	snprintf(sent, sizeof(sent), "%s", line);
}

#define openlog fake_openlog
#define syslog fake_syslog
#include "log.c" /* NOLINT(bugprone-suspicious-include) */

static struct unit_capture capture;

static int
set_up(void **state)
{
	(void)state;
	log_init("unit");
	return (0);
}

static void
test_prefixes(void **state)
{
	(void)state;
	unit_capture(&capture);
	log_warnx("%d apples for %s", 3, "eve");
	log_session(0x317375cd1ab40357, "refused");
	log_session(42, "%s", "gone");
	assert_string_equal(unit_captured(&capture),
	    "unit: 3 apples for eve\n"
	    "317375cd1ab40357 refused\n"
	    "000000000000002a gone\n");
}

static void
test_escapes(void **state)
{
	(void)state;
	unit_capture(&capture);
	log_warnx("%s", "a\nb\r\t\x1b[0m\x7f ~\\ \xc3\xa9\xff");
	assert_string_equal(unit_captured(&capture),
	    "unit: a\\x0ab\\x0d\\x09\\x1b[0m\\x7f ~\\ \\xc3\\xa9\\xff\n");
}

/* The lines of a log stay lines, however long what they tell of. */
static void
test_cut(void **state)
{
	char	    big[5001];
	const char *text;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	unit_capture(&capture);
	log_warnx("%s", big);
	text = unit_captured(&capture);
	assert_in_range(strlen(text), 900, 1023);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);

	memset(big, '\n', sizeof(big) - 1);
	unit_capture(&capture);
	log_session(1, "%s", big);
	text = unit_captured(&capture);
	assert_in_range(strlen(text), 900, 1023);
	assert_string_equal(text + strlen(text) - 5, "\\x0a\n");
}

static void
test_once(void **state)
{
	int i;

	(void)state;
	unit_capture(&capture);
	for (i = 0; i < 3; i++)
		log_once("first kind %d", i);
	for (i = 0; i < 3; i++)
		log_once("second kind");
	assert_string_equal(unit_captured(&capture),
	    "unit: first kind 0\nunit: second kind\n");
}

/* Fills what a descriptor holds and leaves it blocking. */
static void
fill(int fd)
{
	static const char junk[4096];
	int		  flags = fcntl(fd, F_GETFL);
	size_t		  size;

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	for (size = sizeof(junk); size > 0; size /= 2)
		while (write(fd, junk, size) > 0)
			continue;
	fcntl(fd, F_SETFL, flags);
}

/* Logs to fd; an alarm ends the program should it block. */
static void
log_to(int fd)
{
	int saved = unit_divert(STDERR_FILENO, fd);

	alarm(UNIT_PATIENCE / 1000);
	log_warnx("dropped");
	log_session(1, "dropped");
	unit_restore(STDERR_FILENO, saved);
	alarm(0);
}

static void
test_never_blocks(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	fill(fds[1]);
	log_to(fds[1]);
	close(fds[0]);
	close(fds[1]);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	fill(fds[1]);
	log_to(fds[1]);
	assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	close(fds[0]);
	log_to(fds[1]);
	close(fds[1]);
}

/* smtpd gives its tables a socket or a pipe to log to: lines arrive whole. */
static void
test_socket(void **state)
{
	char	buf[256];
	int	fds[2];
	ssize_t n;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	log_to(fds[1]);
	n = read(fds[0], buf, sizeof(buf) - 1);
	assert_true(n > 0);
	buf[n] = '\0';
	assert_string_equal(buf, "unit: dropped\n0000000000000001 dropped\n");
	close(fds[0]);
	close(fds[1]);
}

static void
test_syslog(void **state)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), saved;

	(void)state;
	assert_int_not_equal(null, -1);
	saved = unit_divert(STDERR_FILENO, null);
	log_init("unit");
	unit_restore(STDERR_FILENO, saved);
	close(null);
	assert_int_equal(facility, LOG_MAIL);

	unit_capture(&capture);
	log_warnx("a\n%s", "b");
	assert_string_equal(sent, "a\\x0ab");
	assert_int_equal(sent_at, LOG_WARNING);
	log_session(42, "c");
	assert_string_equal(sent, "000000000000002a c");
	assert_int_equal(sent_at, LOG_INFO);
	log_err("%s", "d");
	assert_string_equal(sent, "d");
	assert_int_equal(sent_at, LOG_ERR);
	log_info("%s", "e");
	assert_string_equal(sent, "e");
	assert_int_equal(sent_at, LOG_INFO);
	log_at(LOG_NOTICE, "%s", "f");
	assert_string_equal(sent, "f");
	assert_int_equal(sent_at, LOG_NOTICE);
	assert_string_equal(unit_captured(&capture), "");

	log_init("unit");
	unit_capture(&capture);
	log_warnx("back");
	assert_string_equal(unit_captured(&capture), "unit: back\n");
}

/* Until smtpd reads standard error, a line must not have gone there alone. */
static void
test_start(void **state)
{
	(void)state;
	unit_capture(&capture);
	log_starting();
	log_err("%s:%d: wrong", "file", 3);
	assert_string_equal(sent, "file:3: wrong");
	assert_int_equal(sent_at, LOG_ERR);
	log_started();
	log_warnx("later");
	assert_string_equal(sent, "file:3: wrong");
	assert_string_equal(unit_captured(&capture),
	    "unit: file:3: wrong\nunit: later\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_escapes), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_never_blocks),
		cmocka_unit_test(test_socket), cmocka_unit_test(test_syslog),
		cmocka_unit_test(test_start) };

	return (cmocka_run_group_tests_name("log", tests, set_up, NULL));
}
