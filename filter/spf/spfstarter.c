/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "sandbox.h"
#include "self.h"
#include "spffd.h"
#include "spfservers.h"
#include "spfstarter.h"
#include "spfwire.h"

/*
 * Where the filter's socket is moved to.  The number is what the worker's
 * socket to here has over there, so nothing that is handed down can have it.
 */
#define FILTER_FD SPF_STARTER_FD

struct slot {
	pid_t		  pid; /* 0: none */
	int		  fd;  /* to the worker; -1: none */
	struct spfservers servers;
};

struct starter {
	int	    exe;
	struct slot slots[SPF_WORKERS_MAX];
};

/* In the child: nothing but what is safe between fork(2) and execve(2). */
static void
exec_worker(int exe, int questions, int fd)
{
	static char name[] = "filter-smtpusers", option[] = "-W";
	char	   *argv[] = { name, option, NULL }, *envp[] = { NULL };

	if (dup2(questions, STDIN_FILENO) != -1 &&
	    dup2(fd, SPF_STARTER_FD) != -1)
		fexecve(exe, argv, envp);
	_exit(1);
}

/* Killed, it is gone as soon as it runs: this does not wait long. */
static void
kill_worker(struct slot *slot)
{
	if (slot->fd != -1)
		close(slot->fd);
	slot->fd = -1;
	if (slot->pid == 0)
		return;
	kill(slot->pid, SIGKILL);
	waitpid(slot->pid, NULL, 0);
	slot->pid = 0;
}

/* What fails is seen by the filter, since its socket is closed then. */
static void
fork_worker(struct starter *s, struct slot *slot, const char *resolver,
    int questions)
{
	int sp[2];

	spfservers_read(&slot->servers, resolver);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sp) == -1)
		return;
	slot->fd = sp[0];
	/* The program anew: so each has an address space of its own making. */
	slot->pid = fork();
	if (slot->pid == 0)
		exec_worker(s->exe, questions, sp[1]);
	close(sp[1]);
	if (slot->pid != -1)
		return;
	slot->pid = 0;
	kill_worker(slot);
}

/* False once the filter is gone. */
static bool
obey(struct starter *s)
{
	struct spf_start start;
	struct slot	*slot;
	ssize_t		 n;
	int		 questions;

	n = spffd_recv(FILTER_FD, &start, sizeof(start), &questions, 0);
	if (n != (ssize_t)sizeof(start) || start.worker >= SPF_WORKERS_MAX)
		return (false);
	start.resolver[sizeof(start.resolver) - 1] = '\0';
	slot = &s->slots[start.worker];
	kill_worker(slot);
	if (questions == -1)
		return (true);
	fork_worker(s, slot, start.resolver, questions);
	close(questions);
	return (true);
}

/* A worker may have been taken over: what it asks for is not believed. */
static void
give_socket(struct slot *slot)
{
	struct spf_given given = { .nservers = (uint32_t)slot->servers.n };
	struct spf_want	 want;
	ssize_t		 n;
	int		 fd;
	bool		 sent;

	n = recv(slot->fd, &want, sizeof(want), MSG_DONTWAIT | MSG_TRUNC);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(want)) {
		close(slot->fd);
		slot->fd = -1;
		return;
	}
	fd = spfservers_connect(&slot->servers, want.server, want.stream);
	given.given = fd != -1;
	sent = spffd_send(slot->fd, &given, sizeof(given), fd);
	if (fd != -1)
		close(fd);
	if (sent)
		return;
	close(slot->fd);
	slot->fd = -1;
}

static void
serve(struct starter *s)
{
	struct pollfd pfd[SPF_WORKERS_MAX + 1];
	size_t	      i;

	pfd[SPF_WORKERS_MAX] = (struct pollfd){ FILTER_FD, POLLIN, 0 };
	for (;;) {
		for (i = 0; i < SPF_WORKERS_MAX; i++)
			pfd[i] = (struct pollfd){ s->slots[i].fd, POLLIN, 0 };
		if (poll(pfd, SPF_WORKERS_MAX + 1, -1) == -1)
			continue;
		for (i = 0; i < SPF_WORKERS_MAX; i++)
			if (pfd[i].revents != 0)
				give_socket(&s->slots[i]);
		if (pfd[SPF_WORKERS_MAX].revents != 0 && !obey(s))
			return;
	}
}

static bool
redirect(int fd)
{
	int null = open("/dev/null", O_RDWR), ret;

	/* In a chroot there may be none: better closed than smtpd's. */
	if (null == -1)
		return (close(fd) == 0 || errno == EBADF);
	/* It is what fd was to become. */
	if (null == fd)
		return (true); // cppcheck-suppress resourceLeak
	ret = dup2(null, fd);
	close(null);
	return (ret != -1);
}

static bool
set_up(struct starter *s)
{
	size_t i;

	for (i = 0; i < SPF_WORKERS_MAX; i++)
		s->slots[i].fd = -1;
	closefrom(STDERR_FILENO + 1);
	if (dup3(STDIN_FILENO, FILTER_FD, O_CLOEXEC) == -1 ||
	    !redirect(STDIN_FILENO) || !redirect(STDOUT_FILENO) ||
	    !redirect(STDERR_FILENO))
		return (false);
	if ((s->exe = self_open()) == -1)
		return (false);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN); /* meant for the filter, by its name */
	return (sandbox_child());
}

void
spfstarter(void)
{
	static struct starter s;
	size_t		      i;

	if (!set_up(&s))
		_exit(1);
	serve(&s);
	for (i = 0; i < SPF_WORKERS_MAX; i++)
		kill_worker(&s.slots[i]);
	_exit(0);
}
