/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "lineio.h"

/* What has been handed out. */
struct seen {
	char  *line;
	size_t len;
	bool   first;
};

static struct event_base *base;
static struct lineio	 *io;
static int		  peer; /* the other end of both */
static int		  fds[2];
static struct seen	  seen[64];
static size_t		  nseen;
static size_t		  noverlong;
static char		  head[LINEIO_HEAD + 1];
static size_t		  neof;
static size_t		  nechoed;

static void
on_line(void *arg, char *line, size_t len, bool first)
{
	struct seen *s = &seen[nseen];

	assert_ptr_equal(arg, &neof);
	assert_int_equal(line[len], '\0');
	assert_int_equal(neof, 0);
	assert_in_range(nseen, 0, 63);
	nseen++;
	s->line = malloc(len + 1);
	assert_non_null(s->line);
	memcpy(s->line, line, len + 1);
	s->len = len;
	s->first = first;
	memset(line, '\n', len); /* it may be changed */
}

static void
on_overlong(void *arg, char *text, size_t len)
{
	assert_ptr_equal(arg, &neof);
	assert_int_equal(len, LINEIO_HEAD);
	assert_int_equal(text[len], '\0');
	memcpy(head, text, len + 1);
	noverlong++;
}

static void
on_eof(void *arg)
{
	assert_ptr_equal(arg, &neof);
	neof++;
}

static const struct lineio_handler keep = { on_line, on_overlong, on_eof };

static void
on_echo(void *arg, char *line, size_t len, bool first)
{
	(void)arg;
	(void)first;
	nechoed++;
	line[len] = '\n';
	lineio_echo(io, line, len + 1);
}

static const struct lineio_handler echo = { on_echo, on_overlong, on_eof };

static void
begin(const struct lineio_handler *handler)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	peer = pair[0];
	fds[0] = fds[1] = pair[1];
	assert_int_equal(fcntl(peer, F_SETFL, O_NONBLOCK), 0);
	io = lineio_new(base, pair[1], pair[1], handler, &neof);
	assert_non_null(io);
}

static int
set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	nseen = noverlong = neof = nechoed = 0;
	peer = fds[0] = fds[1] = -1;
	return (base == NULL);
}

static int
tear_down(void **state)
{
	(void)state;
	while (nseen > 0)
		free(seen[--nseen].line);
	lineio_free(io);
	io = NULL;
	close(fds[0]);
	if (fds[1] != fds[0])
		close(fds[1]);
	if (peer != -1)
		close(peer);
	event_base_free(base);
	return (0);
}

/* Lets everything happen that can without anything new. */
static void
settle(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Sends all, running the loop while there is no room. */
static void
say(const char *text, size_t len)
{
	ssize_t n;
	size_t	off = 0;
	int64_t end = unit_now() + UNIT_PATIENCE;

	while (off < len && unit_now() < end) {
		n = write(peer, text + off, len - off);
		if (n > 0)
			off += (size_t)n;
		settle();
	}
	assert_int_equal(off, len);
}

#define SAY(text) say(text, sizeof(text) - 1)

static void
check_seen(size_t i, const char *text, size_t len, bool first)
{
	assert_true(i < nseen);
	assert_int_equal(seen[i].len, len);
	assert_memory_equal(seen[i].line, text, len);
	assert_int_equal(seen[i].first, first);
}

static void
test_byte_by_byte(void **state)
{
	static const char text[] = "config|ready\n\nab\n";
	size_t		  i;

	(void)state;
	begin(&keep);
	for (i = 0; i < 12; i++) {
		say(text + i, 1);
		assert_int_equal(nseen, 0);
	}
	say(text + 12, 1);
	assert_int_equal(nseen, 1);
	check_seen(0, "config|ready", 12, true);
	say(text + 13, 1);
	check_seen(1, "", 0, true);
	for (i = 14; i < sizeof(text) - 1; i++)
		say(text + i, 1);
	assert_int_equal(nseen, 3);
	check_seen(2, "ab", 2, true);
}

static void
test_many_in_one(void **state)
{
	(void)state;
	begin(&keep);
	SAY("a\nbb\n\nccc\npart");
	assert_int_equal(nseen, 4);
	check_seen(0, "a", 1, true);
	check_seen(1, "bb", 2, false);
	check_seen(2, "", 0, false);
	check_seen(3, "ccc", 3, false);
	SAY("ial\nnext\n");
	assert_int_equal(nseen, 6);
	check_seen(4, "partial", 7, true);
	check_seen(5, "next", 4, false);
}

static void
test_bytes(void **state)
{
	(void)state;
	begin(&keep);
	SAY("a\0b\r\n\0\n\xff\x80\n");
	assert_int_equal(nseen, 3);
	check_seen(0, "a\0b\r", 4, true);
	check_seen(1, "\0", 1, false);
	check_seen(2, "\xff\x80", 2, false);
}

/* A line of len times c and its newline, then "next". */
static void
say_long(size_t len, char c)
{
	char *text = malloc(len + 7);

	assert_non_null(text);
	memset(text, c, len);
	snprintf(text + len, 7, "\nnext\n");
	say(text, len + 6);
	free(text);
}

static void
test_longest(void **state)
{
	size_t i;

	(void)state;
	begin(&keep);
	say_long(LINEIO_MAX, 'x');
	assert_int_equal(noverlong, 0);
	assert_int_equal(nseen, 2);
	assert_int_equal(seen[0].len, LINEIO_MAX);
	for (i = 0; i < LINEIO_MAX; i++)
		if (seen[0].line[i] != 'x')
			fail_msg("byte %zu", i);
	assert_string_equal(seen[1].line, "next");
}

static void
test_overlong(void **state)
{
	static const size_t lens[] = { LINEIO_MAX + 1, LINEIO_MAX + 2,
		LINEIO_MAX + 65536, 2 * LINEIO_MAX, 2 * LINEIO_MAX + 1,
		2 * LINEIO_MAX + 2, 5 * LINEIO_MAX + 77 };
	size_t		    i, j;
	char		    c;

	(void)state;
	begin(&keep);
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		c = (char)('a' + i);
		say_long(lens[i], c);
		assert_int_equal(noverlong, i + 1);
		assert_int_equal(strlen(head), LINEIO_HEAD);
		for (j = 0; j < LINEIO_HEAD; j++)
			assert_int_equal(head[j], c);
		assert_int_equal(nseen, i + 1);
		assert_string_equal(seen[i].line, "next");
	}
}

/* It is told of when it is known to be too long, not when it ends. */
static void
test_overlong_endless(void **state)
{
	static char block[LINEIO_MAX];
	size_t	    i;

	(void)state;
	memset(block, 'y', sizeof(block));
	begin(&keep);
	say(block, sizeof(block));
	assert_int_equal(noverlong, 0);
	SAY("z");
	assert_int_equal(noverlong, 1);
	for (i = 0; i < 8; i++)
		say(block, sizeof(block));
	assert_int_equal(noverlong, 1);
	assert_int_equal(nseen, 0);
	SAY("\n");
	assert_int_equal(nseen, 0);
	SAY("\nafter\n");
	assert_int_equal(nseen, 2);
	check_seen(0, "", 0, true);
	check_seen(1, "after", 5, false);
}

static size_t
hear(char *buf, size_t size)
{
	ssize_t n = read(peer, buf, size);

	return (n > 0 ? (size_t)n : 0);
}

static void
test_write(void **state)
{
	static char big[8192];
	char	    buf[128];

	(void)state;
	begin(&keep);
	lineio_echo(io, "plain\n", 6);
	lineio_printf(io, "%s|%d\n", "answer", 42);
	/* Outside of a read nothing waits for the loop. */
	assert_int_equal(hear(buf, sizeof(buf)), 16);
	assert_memory_equal(buf, "plain\nanswer|42\n", 16);
	lineio_echo(io, "a\0b\n", 4);
	assert_int_equal(hear(buf, sizeof(buf)), 4);
	assert_memory_equal(buf, "a\0b\n", 4);
	/* No half of an answer. */
	memset(big, 'x', sizeof(big) - 1);
	lineio_printf(io, "%s\n", big);
	assert_int_equal(hear(buf, sizeof(buf)), 0);
	lineio_printf(io, "still here\n");
	assert_int_equal(hear(buf, sizeof(buf)), 11);
}

static void
on_line_gather(void *arg, char *line, size_t len, bool first)
{
	char buf[16];

	on_echo(arg, line, len, first);
	assert_int_equal(hear(buf, sizeof(buf)), 0);
}

static const struct lineio_handler gather = { on_line_gather, on_overlong,
	on_eof };

/* What a read brings about goes out in one write. */
static void
test_gathered(void **state)
{
	char buf[64];

	(void)state;
	begin(&gather);
	SAY("one\ntwo\nthree\n");
	assert_int_equal(hear(buf, sizeof(buf)), 14);
	assert_memory_equal(buf, "one\ntwo\nthree\n", 14);
}

/* Line i of a long conversation: its length differs, and it is known. */
static size_t
numbered(char *buf, size_t size, size_t i)
{
	int n = snprintf(buf, size, "%zu %.*s\n", i, (int)(i % 97),
	    "-------------------------------------------------------"
	    "------------------------------------------");

	return ((size_t)n);
}

/* Checks what comes back against what was sent, chunk by chunk. */
static void
check_heard(const char *buf, size_t n)
{
	static char   want[256];
	static size_t i, off, len;
	size_t	      k;

	if (buf == NULL) {
		i = off = len = 0;
		return;
	}
	for (k = 0; k < n; k++) {
		if (off == len) {
			len = numbered(want, sizeof(want), i++);
			off = 0;
		}
		if (buf[k] != want[off++])
			fail_msg("line %zu is not what it was", i - 1);
	}
}

static size_t
make_numbered(char **text, size_t lines)
{
	size_t i, len = 0;

	*text = malloc(lines * 128);
	assert_non_null(*text);
	for (i = 0; i < lines; i++)
		len += numbered(*text + len, 128, i);
	return (len);
}

/* Bytes taken from a peer that writes on and reads nothing. */
static size_t
stuff(const char *text, size_t len)
{
	size_t	off = 0;
	ssize_t n;
	int	idle = 0;

	while (off < len && idle < 20) {
		n = write(peer, text + off,
		    len - off < 4000 ? len - off : 4000);
		if (n > 0)
			off += (size_t)n;
		settle();
		idle = n > 0 ? 0 : idle + 1;
	}
	return (off);
}

/*
 * A peer that does not read is not read from for long, and loses nothing for
 * it once it does.
 */
static void
test_back_pressure(void **state)
{
	static char buf[65536];
	char	   *text;
	size_t	    len, off, heard = 0, n, before;
	int64_t	    end = unit_now() + UNIT_PATIENCE;
	ssize_t	    w;

	(void)state;
	begin(&echo);
	check_heard(NULL, 0);
	len = make_numbered(&text, 200000);
	off = stuff(text, len);
	/* Beyond what we hold there is only what the two sockets hold. */
	assert_in_range(off, LINEIO_HIGH, LINEIO_HIGH + 1024 * 1024);
	before = nechoed;
	settle();
	assert_int_equal(nechoed, before);

	while (heard < len && unit_now() < end) {
		n = hear(buf, sizeof(buf));
		check_heard(buf, n);
		heard += n;
		if (off < len && (w = write(peer, text + off, len - off)) > 0)
			off += (size_t)w;
		settle();
	}
	assert_int_equal(heard, len);
	assert_int_equal(nechoed, 200000);
	assert_int_equal(neof, 0);
	free(text);
}

/* Paused above LINEIO_HIGH, it goes on below LINEIO_LOW and not before. */
static void
test_resume(void **state)
{
	static char buf[4096];
	char	   *text;
	size_t	    len, off, heard = 0, paused;
	int64_t	    end = unit_now() + UNIT_PATIENCE;

	(void)state;
	begin(&echo);
	len = make_numbered(&text, 100000);
	off = stuff(text, len);
	assert_true(off < len);
	paused = nechoed;
	while (nechoed == paused && unit_now() < end) {
		heard += hear(buf, sizeof(buf));
		settle();
	}
	assert_true(nechoed > paused);
	/* Less than what would leave LINEIO_LOW is not enough. */
	assert_in_range(heard, LINEIO_HIGH - LINEIO_LOW - sizeof(buf), off);
	free(text);
}

static void
test_eof(void **state)
{
	(void)state;
	begin(&keep);
	SAY("whole\nhalf");
	close(peer);
	peer = -1;
	unit_run_until(base, neof > 0);
	settle();
	assert_int_equal(neof, 1);
	assert_int_equal(nseen, 1);
	lineio_echo(io, "into the void\n", 14);
	lineio_printf(io, "%d\n", 1);
	settle();
	assert_int_equal(neof, 1);
}

/* Lines that came in before the end are handed out before it. */
static void
test_lines_then_eof(void **state)
{
	(void)state;
	begin(&keep);
	assert_int_equal(write(peer, "last\n", 5), 5);
	close(peer);
	peer = -1;
	unit_run_until(base, neof > 0);
	assert_int_equal(nseen, 1);
	check_seen(0, "last", 4, true);
}

/* Two pipes, as a program on a terminal has; the reader of one goes. */
static void
test_epipe(void **state)
{
	int in[2], out[2];

	(void)state;
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	fds[0] = in[0];
	fds[1] = out[1];
	peer = in[1];
	io = lineio_new(base, in[0], out[1], &echo, &neof);
	assert_non_null(io);
	SAY("a\n");
	assert_int_equal(nechoed, 1);
	assert_int_equal(neof, 0);
	close(out[0]);
	SAY("b\nc\n");
	assert_int_equal(neof, 1);
	lineio_echo(io, "d\n", 2);
	/* Nothing is read any more either. */
	assert_int_equal(write(peer, "e\n", 2), 2);
	settle();
	assert_int_equal(neof, 1);
	assert_int_equal(nechoed, 3);
}

/* A peer that goes while it is not being read from is noticed. */
static void
test_eof_while_paused(void **state)
{
	char  *text;
	size_t len;

	(void)state;
	begin(&echo);
	len = make_numbered(&text, 100000);
	assert_true(stuff(text, len) < len);
	free(text);
	close(peer);
	peer = -1;
	unit_run_until(base, neof > 0);
	settle();
	assert_int_equal(neof, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(test_byte_by_byte), TEST(test_many_in_one),
		TEST(test_bytes), TEST(test_longest), TEST(test_overlong),
		TEST(test_overlong_endless), TEST(test_write),
		TEST(test_gathered), TEST(test_back_pressure),
		TEST(test_resume), TEST(test_eof), TEST(test_lines_then_eof),
		TEST(test_epipe), TEST(test_eof_while_paused)
	};

	return (cmocka_run_group_tests_name("lineio", tests, NULL, NULL));
}
