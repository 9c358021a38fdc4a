/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * feed hello block repeats program [argument ...]
 *
 * Starts a filter as smtpd does, on a socket, sends it the file hello and,
 * once it is ready, the file block many times over: reports, requests and lines
 * of messages.  Every byte that comes back has to be what a filter that changes
 * and refuses nothing says.  Prints how many lines of messages went through and
 * how many seconds that took.
 */

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX (16UL * 1024 * 1024)
#define DATALINE "filter-dataline|"
#define RESULT "filter-result|"
#define PROCEED "proceed\n"
#define ID_LEN 34 /* the session's and the token */
#define READY "register|ready\n"
#define FIELDS 5 /* in front of the session id */

struct text {
	char  *data;
	size_t len;
};

static struct text
load(const char *path)
{
	struct text t = { .data = malloc(FILE_MAX) };
	FILE	   *f = fopen(path, "r");

	if (t.data == NULL || f == NULL)
		err(1, "%s", path);
	t.len = fread(t.data, 1, FILE_MAX, f);
	if (t.len == 0 || t.len == FILE_MAX)
		errx(1, "%s: empty, or too long", path);
	fclose(f);
	return (t);
}

static void
append(struct text *t, const char *data, size_t len)
{
	memcpy(t->data + t->len, data, len);
	t->len += len;
}

/*
 * What comes back for one line: nothing for a report, the line for a line of a
 * message, and that it may proceed for any other request.  True for a line of
 * a message.
 */
static bool
reply(const char *line, const char *end, struct text *want)
{
	const char *p = line, *event = line;
	int	    i;

	if (strncmp(line, "report|", 7) == 0)
		return (false);
	for (i = 0; i < FIELDS; i++) {
		event = p;
		if ((p = memchr(p, '|', (size_t)(end - p))) == NULL)
			errx(1, "the block holds what smtpd does not say");
		p++;
	}
	if (strncmp(event, "data-line|", 10) == 0) {
		append(want, DATALINE, sizeof(DATALINE) - 1);
		append(want, p, (size_t)(end - p));
		return (true);
	}
	append(want, RESULT, sizeof(RESULT) - 1);
	append(want, p, ID_LEN);
	append(want, PROCEED, sizeof(PROCEED) - 1);
	return (false);
}

/* What comes back for the block; returns how many lines of messages it has. */
static size_t
expect(const struct text *block, struct text *want)
{
	const char *p = block->data, *end = p + block->len, *nl;
	size_t	    lines = 0;

	want->len = 0;
	for (; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (nl == NULL)
			errx(1, "the block does not end with a line");
		lines += reply(p, nl + 1, want);
	}
	return (lines);
}

static int
start(char **argv, pid_t *pid)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		err(1, "socketpair");
	*pid = fork();
	if (*pid == -1)
		err(1, "fork");
	if (*pid == 0) {
		dup2(fds[1], STDIN_FILENO);
		dup2(fds[1], STDOUT_FILENO);
		execv(argv[0], argv);
		err(1, "%s", argv[0]);
	}
	close(fds[1]);
	return (fds[0]);
}

static void
greet(int fd, const struct text *hello)
{
	char	buf[8192];
	size_t	len = 0;
	ssize_t n;

	if (write(fd, hello->data, hello->len) != (ssize_t)hello->len)
		err(1, "write");
	do {
		n = read(fd, buf + len, sizeof(buf) - len - 1);
		if (n <= 0)
			errx(1, "the filter ended before it was ready");
		len += (size_t)n;
		buf[len] = '\0';
	} while (len < sizeof(READY) - 1 ||
	    strcmp(buf + len - (sizeof(READY) - 1), READY) != 0);
}

static void
check(const struct text *want, size_t off, const char *got, size_t len)
{
	size_t n;

	for (off %= want->len; len > 0; off = 0) {
		n = want->len - off < len ? want->len - off : len;
		if (memcmp(want->data + off, got, n) != 0)
			errx(1, "the filter changed a line");
		got += n;
		len -= n;
	}
}

static void
pump(int fd, const struct text *block, const struct text *want, size_t times)
{
	static char   buf[256 * 1024];
	struct pollfd pfd = { .fd = fd };
	size_t	      sent = 0, got = 0, off;
	ssize_t	      n;

	while (got < want->len * times) {
		pfd.events = POLLIN;
		if (sent < block->len * times)
			pfd.events |= POLLOUT;
		if (poll(&pfd, 1, 30000) <= 0)
			errx(1, "the filter stands still");
		if (pfd.revents & POLLOUT) {
			off = sent % block->len;
			n = write(fd, block->data + off, block->len - off);
			if (n == -1 && errno != EAGAIN)
				err(1, "write");
			sent += n == -1 ? 0 : (size_t)n;
		}
		if ((pfd.revents & (POLLIN | POLLHUP)) == 0)
			continue;
		n = read(fd, buf, sizeof(buf));
		if (n == 0)
			errx(1, "the filter ended");
		if (n == -1 && errno != EAGAIN)
			err(1, "read");
		if (n > 0) {
			check(want, got, buf, (size_t)n);
			got += (size_t)n;
		}
	}
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

int
main(int argc, char **argv)
{
	struct text hello, block, want;
	size_t	    lines, times;
	double	    began;
	pid_t	    pid;
	int	    fd;

	if (argc < 5)
		errx(64, "usage: feed hello block repeats program ...");
	hello = load(argv[1]);
	block = load(argv[2]);
	times = strtoul(argv[3], NULL, 10);
	want.data = malloc(2 * FILE_MAX);
	if (want.data == NULL)
		err(1, NULL);
	lines = expect(&block, &want);
	fd = start(argv + 4, &pid);
	greet(fd, &hello);
	if (fcntl(fd, F_SETFL, O_NONBLOCK) == -1)
		err(1, "fcntl");
	began = now();
	pump(fd, &block, &want, times);
	printf("%zu %.6f\n", lines * times, now() - began);
	close(fd);
	waitpid(pid, NULL, 0);
	free(hello.data);
	free(block.data);
	free(want.data);
	return (0);
}
