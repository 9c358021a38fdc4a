/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * lookup rounds users program config program config ...
 *
 * Starts tables as smtpd does and asks them in turn, one question after
 * another, for the credentials of user0 to userN.  Prints a line for each
 * table: its median and its 99th percentile, in microseconds.
 */

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TABLES_MAX 8
#define WARM_UP 500 /* questions to each that are not counted */

struct table {
	const char *program;
	double	   *took;
	pid_t	    pid;
	int	    fd;
};

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3);
}

static void
start(struct table *t, char *config)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		err(1, "socketpair");
	t->pid = fork();
	if (t->pid == -1)
		err(1, "fork");
	if (t->pid == 0) {
		dup2(fds[1], STDIN_FILENO);
		dup2(fds[1], STDOUT_FILENO);
		execl(t->program, "users", config, (char *)NULL);
		err(1, "%s", t->program);
	}
	close(fds[1]);
	t->fd = fds[0];
}

/*
 * As libevent does for smtpd.  Who sleeps in read(2) is woken for nothing when
 * the other side has read what was written.
 */
static ssize_t
wait_and_read(int fd, char *buf, size_t size)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	if (poll(&pfd, 1, -1) == -1)
		err(1, "poll");
	return (read(fd, buf, size));
}

/* Sends text and reads lines until one begins as wanted. */
static void
converse(struct table *t, const char *text, const char *want)
{
	char	buf[8192], *line;
	size_t	len = 0;
	ssize_t n;

	if (write(t->fd, text, strlen(text)) != (ssize_t)strlen(text))
		err(1, "write");
	do {
		n = wait_and_read(t->fd, buf + len, sizeof(buf) - len - 1);
		if (n <= 0)
			errx(1, "%s ended", t->program);
		len += (size_t)n;
		buf[len] = '\0';
		line = strstr(buf, want);
	} while (line == NULL || buf[len - 1] != '\n');
	if (line != buf && line[-1] != '\n')
		errx(1, "%s: unexpected: %s", t->program, buf);
}

static double
ask(struct table *t, unsigned int id, unsigned int user)
{
	char   question[256], want[64];
	double began;

	snprintf(question, sizeof(question),
	    "table|0.1|%lld.000000|users|lookup|credentials|%08x|user%u\n",
	    (long long)time(NULL), id, user);
	snprintf(want, sizeof(want), "lookup-result|%08x|found|user%u:$", id,
	    user);
	began = now();
	converse(t, question, want);
	return (now() - began);
}

static int
smaller(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return ((x > y) - (x < y));
}

/*
 * Each is as often the first to ask for a user, and asked as often behind each
 * of the others: who was asked before has left the processors as they are.
 */
static void
shuffle(struct table *order[], size_t n)
{
	struct table *t;
	size_t	      other;

	for (; n > 1; n--) {
		other = (size_t)random() % n;
		t = order[n - 1];
		order[n - 1] = order[other];
		order[other] = t;
	}
}

int
main(int argc, char **argv)
{
	struct table tables[TABLES_MAX], *order[TABLES_MAX];
	size_t	     i, n, round, rounds;
	unsigned int id = 0, users;
	double	     took;

	if (argc < 5 || argc % 2 == 0 || argc > 3 + 2 * TABLES_MAX)
		errx(64, "usage: lookup rounds users program config ...");
	rounds = strtoul(argv[1], NULL, 10);
	users = (unsigned int)strtoul(argv[2], NULL, 10);
	n = (size_t)(argc - 3) / 2;
	for (i = 0; i < n; i++) {
		tables[i].program = argv[3 + 2 * i];
		tables[i].took = calloc(rounds, sizeof(double));
		if (tables[i].took == NULL)
			err(1, NULL);
		order[i] = &tables[i];
		start(&tables[i], argv[4 + 2 * i]);
		converse(&tables[i],
		    "config|smtpd-version|7.6.0-portable\n"
		    "config|protocol|0.1\nconfig|tablename|users\n"
		    "config|ready\n",
		    "register|ready\n");
	}
	for (round = 0; round < WARM_UP + rounds; round++) {
		shuffle(order, n);
		for (i = 0; i < n; i++) {
			took = ask(order[i], ++id, (unsigned int)round % users);
			if (round >= WARM_UP)
				order[i]->took[round - WARM_UP] = took;
		}
	}
	for (i = 0; i < n; i++) {
		qsort(tables[i].took, rounds, sizeof(double), smaller);
		printf("%.2f %.2f\n", tables[i].took[rounds / 2],
		    tables[i].took[rounds * 99 / 100]);
		free(tables[i].took);
		close(tables[i].fd);
		waitpid(tables[i].pid, NULL, 0);
	}
	return (0);
}
