/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "spfcheck.h"
#include "spfdns.h"
#include "spfworker.h"

#define NOBODY 65534

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
drop_privileges(void)
{
	const struct rlimit none = { 0, 0 }, few = { 16, 16 };

	if (setrlimit(RLIMIT_CORE, &none) == -1 ||
	    setrlimit(RLIMIT_FSIZE, &none) == -1 ||
	    setrlimit(RLIMIT_NOFILE, &few) == -1)
		return (false);
	if (geteuid() == 0 &&
	    (setgroups(0, NULL) == -1 ||
		setresgid(NOBODY, NOBODY, NOBODY) == -1 ||
		setresuid(NOBODY, NOBODY, NOBODY) == -1))
		return (false);
	/* Not to outlive the filter while a name server is waited for. */
	return (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
}

/* What asking the DNS, memory and time need. */
static const int allowed[] = { SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap),
	SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise),
	SCMP_SYS(futex), SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(close),
	SCMP_SYS(fcntl), SCMP_SYS(ioctl), SCMP_SYS(poll), SCMP_SYS(ppoll),
	SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(getsockname),
	SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
	SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg),
	SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(writev),
	SCMP_SYS(readv), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
	SCMP_SYS(time), SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(gettid),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction), SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group),
	SCMP_SYS(sched_yield) };

/*
 * Files are there, but cannot be opened; anything else that is not allowed
 * ends the worker.
 */
static bool
restrict_calls(void)
{
	static const int denied[] = { SCMP_SYS(open), SCMP_SYS(openat),
		SCMP_SYS(access), SCMP_SYS(stat), SCMP_SYS(newfstatat),
		SCMP_SYS(fstat), SCMP_SYS(statx), SCMP_SYS(readlink),
		SCMP_SYS(readlinkat), SCMP_SYS(prlimit64),
		SCMP_SYS(getrlimit) };
	static const int families[] = { AF_INET, AF_INET6 };
	scmp_filter_ctx	 ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	size_t		 i;
	bool		 ok = ctx != NULL;

	for (i = 0; ok && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		ok = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0) == 0;
	for (i = 0; ok && i < sizeof(denied) / sizeof(denied[0]); i++)
		ok = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), denied[i],
			 0) == 0;
	for (i = 0; ok && i < 2; i++)
		ok = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
			 SCMP_CMP(0, SCMP_CMP_EQ, (scmp_datum_t)families[i],
			     0)) == 0;
	/* abort(3) */
	ok = ok &&
	    seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
		SCMP_CMP(0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0)) == 0;
	ok = ok && seccomp_load(ctx) == 0;
	if (ctx != NULL)
		seccomp_release(ctx);
	return (ok);
}

static void
serve_questions(SPF_server_t *server, const struct spf_orders *check)
{
	struct spf_answer answer;
	char		  domain[DOMAIN_TEXT];
	ssize_t		  n;

	for (;;) {
		n = recv(STDIN_FILENO, domain, sizeof(domain) - 1, 0);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		domain[n] = '\0';
		spfcheck(server, check, domain, &answer);
		if (send(STDIN_FILENO, &answer, sizeof(answer), MSG_NOSIGNAL) !=
		    (ssize_t)sizeof(answer))
			return;
	}
}

void
spfworker(void)
{
	static struct spf_orders check;
	SPF_dns_server_t	*dns;
	SPF_server_t		*server;

	closefrom(STDERR_FILENO + 1);
	if (!redirect(STDOUT_FILENO) || !redirect(STDERR_FILENO))
		_exit(1);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (recv(STDIN_FILENO, &check, sizeof(check), 0) !=
	    (ssize_t)sizeof(check))
		_exit(1);
	dns = spfdns_new(check.resolver[0] != '\0' ? check.resolver : NULL,
	    check.timeout);
	if (dns == NULL || (server = SPF_server_new_dns(dns, 0)) == NULL)
		_exit(1);
	if (!drop_privileges() || !restrict_calls())
		_exit(1);
	serve_questions(server, &check);
	_exit(0);
}
