/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"
#include "self.h"
#include "spffd.h"
#include "spfworkers.h"

struct spfworkers {
	pid_t starter;
	int   fd; /* to it */
};

/* In the child: nothing but what is safe between fork(2) and execve(2). */
static void
exec_starter(int exe, int fd)
{
	static char name[] = "filter-smtpusers", option[] = "-S";
	char	   *argv[] = { name, option, NULL }, *envp[] = { NULL };

	if (dup2(fd, STDIN_FILENO) != -1)
		fexecve(exe, argv, envp);
	_exit(1);
}

static pid_t
start_starter(int fd)
{
	int   exe = self_open();
	pid_t pid;

	if (exe == -1)
		return (-1);
	if ((pid = fork()) == 0)
		exec_starter(exe, fd);
	close(exe);
	return (pid);
}

struct spfworkers *
spfworkers_new(void)
{
	struct spfworkers *w;
	int		   sp[2];

	if ((w = calloc(1, sizeof(*w))) == NULL)
		return (NULL);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sp) == -1) {
		free(w);
		return (NULL);
	}
	w->starter = start_starter(sp[1]);
	w->fd = sp[0];
	close(sp[1]);
	if (w->starter != -1)
		return (w);
	close(w->fd);
	free(w);
	return (NULL);
}

void
spfworkers_free(struct spfworkers *w)
{
	if (w == NULL)
		return;
	close(w->fd);
	while (waitpid(w->starter, NULL, 0) == -1 && errno == EINTR)
		continue;
	free(w);
}

static bool
tell_starter(struct spfworkers *w, size_t number, const char *resolver, int fd)
{
	struct spf_start start = { .worker = (uint32_t)number };

	if (resolver != NULL)
		strlcpy(start.resolver, resolver, sizeof(start.resolver));
	if (spffd_send(w->fd, &start, sizeof(start), fd))
		return (true);
	if (errno == EPIPE || errno == ECONNRESET)
		log_once("spf: the process that starts workers has ended; "
			 "no more are started until smtpd is");
	return (false);
}

int
spfworkers_start(struct spfworkers *w, size_t number, const char *resolver,
    const struct spf_orders *orders)
{
	int  sp[2];
	bool ok;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sp) == -1)
		return (-1);
	ok = spffd_send(sp[0], orders, sizeof(*orders), -1) &&
	    tell_starter(w, number, resolver, sp[1]);
	close(sp[1]);
	if (ok)
		return (sp[0]);
	close(sp[0]);
	return (-1);
}

void
spfworkers_stop(struct spfworkers *w, size_t number)
{
	tell_starter(w, number, NULL, -1);
}
