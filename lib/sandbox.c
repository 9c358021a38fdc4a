/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "sandbox.h"

/*
 * How many bytes of memory a worker may write to: ten times what answers made
 * to take much of it were seen to take.
 */
#define WORKER_DATA (8 << 20)

/*
 * A call that is let through when its arguments are like that.  Of several
 * rules for a call one is enough.
 */
struct rule {
	int		    call;
	unsigned int	    n;
	struct scmp_arg_cmp args[2];
};

#define INT UINT32_MAX	   /* all bits of an int */
#define POINTER UINT64_MAX /* of a pointer */
#define BITS(arg, mask, value) { arg, SCMP_CMP_MASKED_EQ, mask, value }
#define ANY(name) { .call = SCMP_SYS(name) }
#define IF(name, arg, mask, value)                        \
	{                                                 \
		.call = SCMP_SYS(name), .n = 1, .args = { \
			BITS(arg, mask, value)            \
		}                                         \
	}
#define SOCKET(domain, arg, mask, value)                    \
	{                                                   \
		.call = SCMP_SYS(socket), .n = 2, .args = { \
			BITS(0, INT, domain),               \
			BITS(arg, mask, value)              \
		}                                           \
	}
#define SOCK_TYPE 0xf /* what of socket(2)'s type is no flag */
#define OPEN_CHANGES (O_ACCMODE | O_CREAT | O_TRUNC)

#undef prlimit64 /* musl has it as another name of prlimit(2) */

/* What every process here does. */
static const struct rule basic[] = {
	/* Memory, which is written to or executed, never both. */
	ANY(brk), ANY(munmap), ANY(mremap), ANY(madvise),
	IF(mmap, 2, PROT_EXEC, 0), IF(mprotect, 2, PROT_EXEC, 0),
	/* What is open. */
	ANY(read), ANY(write), ANY(readv), ANY(writev), ANY(close), ANY(poll),
	ANY(ppoll), ANY(recvfrom), ANY(recvmsg), ANY(fcntl),
	/* Time, chance, locks, and signals to itself. */
	ANY(clock_gettime), ANY(gettimeofday), ANY(time), ANY(getrandom),
	ANY(getpid), ANY(gettid), ANY(futex), ANY(sched_yield),
	ANY(rt_sigaction), ANY(rt_sigprocmask), ANY(rt_sigreturn),
	ANY(sigaltstack), ANY(restart_syscall), ANY(exit), ANY(exit_group)
};

/*
 * What the table and the filter do besides: keep connections to Redis and make
 * them anew; look the names of hosts up, in a thread, by whatever
 * nsswitch.conf(5) says, which may load libraries, ask a daemon over a socket
 * or list the network's interfaces; read the configuration, the password and
 * the certificates when told to; verify passwords in threads; log, also after
 * syslogd(8) has been restarted; and, in the filter, hand the starter of the
 * workers a socket.
 */
static const struct rule program[] = {
	/* The event loop, and how threads wake it. */
	ANY(epoll_ctl), ANY(epoll_wait), ANY(epoll_pwait), ANY(epoll_pwait2),
	ANY(eventfd2), ANY(socketpair), ANY(lseek), ANY(pread64),
	IF(ioctl, 1, INT, FIONREAD), IF(ioctl, 1, INT, FIONBIO),
	IF(ioctl, 1, INT, TCGETS),
	/* Connections, but no service to others and no raw packets. */
	SOCKET(AF_UNIX, 1, SOCK_TYPE, SOCK_STREAM),
	SOCKET(AF_UNIX, 1, SOCK_TYPE, SOCK_DGRAM),
	SOCKET(AF_INET, 1, SOCK_TYPE, SOCK_STREAM),
	SOCKET(AF_INET, 1, SOCK_TYPE, SOCK_DGRAM),
	SOCKET(AF_INET6, 1, SOCK_TYPE, SOCK_STREAM),
	SOCKET(AF_INET6, 1, SOCK_TYPE, SOCK_DGRAM),
	SOCKET(AF_NETLINK, 2, INT, NETLINK_ROUTE), ANY(connect), ANY(bind),
	ANY(getsockname), ANY(getpeername), ANY(getsockopt), ANY(setsockopt),
	ANY(sendto), ANY(sendmsg), ANY(sendmmsg), ANY(shutdown),
	/* Files, to read, and libraries. */
	IF(open, 1, OPEN_CHANGES, O_RDONLY),
	IF(openat, 2, OPEN_CHANGES, O_RDONLY), ANY(stat), ANY(lstat),
	ANY(fstat), ANY(newfstatat), ANY(statx), ANY(access), ANY(faccessat),
	ANY(faccessat2), ANY(readlink), ANY(readlinkat), ANY(getcwd),
	ANY(getdents64), IF(mmap, 2, PROT_WRITE | PROT_EXEC, PROT_EXEC),
	/* Threads, but no processes; only the starter is waited for. */
	IF(clone, 0, CLONE_THREAD, CLONE_THREAD), ANY(set_robust_list),
	ANY(rseq), ANY(sched_getaffinity),
	IF(setpriority, 0, INT, PRIO_PROCESS), ANY(wait4),
	/* Who and where they are. */
	ANY(getuid), ANY(geteuid), ANY(getgid), ANY(getegid), ANY(getppid),
	ANY(uname), ANY(sysinfo), ANY(getrusage), ANY(getrlimit),
	IF(prlimit64, 2, POINTER, 0),
#ifdef __SANITIZE_ADDRESS__
	/* The search for leaks at the end, which takes a tracer. */
	IF(clone, 0, CLONE_VM, CLONE_VM), ANY(ptrace), ANY(prctl),
	ANY(process_vm_readv)
#endif
};

/*
 * What report.cgi does besides, where its Redis is near: no file is opened, no
 * thread is started and no name asked for.
 */
static const struct rule page[] = { ANY(epoll_ctl), ANY(epoll_wait),
	ANY(epoll_pwait), ANY(epoll_pwait2), ANY(fstat), ANY(newfstatat),
	SOCKET(AF_UNIX, 1, SOCK_TYPE, SOCK_STREAM),
	SOCKET(AF_INET, 1, SOCK_TYPE, SOCK_STREAM),
	SOCKET(AF_INET6, 1, SOCK_TYPE, SOCK_STREAM), ANY(connect),
	ANY(getsockopt), ANY(setsockopt), ANY(sendto) };

/*
 * What a worker does besides: answer the filter, and ask name servers over the
 * sockets that it is handed.  It names no address, since a datagram can go to
 * another one than its socket is connected to.
 */
static const struct rule worker[] = { IF(sendto, 4, POINTER, 0) };

/* What libraries try and can do without. */
static const int worker_denied[] = { SCMP_SYS(open), SCMP_SYS(openat),
	SCMP_SYS(access), SCMP_SYS(stat), SCMP_SYS(newfstatat), SCMP_SYS(fstat),
	SCMP_SYS(statx), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
	SCMP_SYS(prlimit64), SCMP_SYS(getrlimit), SCMP_SYS(ioctl) };

#define N(array) (sizeof(array) / sizeof((array)[0]))

static int
add_rules(scmp_filter_ctx ctx, const struct rule *rules, size_t n)
{
	size_t i;
	int    error = 0;

	for (i = 0; error == 0 && i < n; i++)
		error = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW,
		    rules[i].call, rules[i].n, rules[i].args);
	return (error);
}

/* For abort(3). */
static int
add_own_signals(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp self = BITS(0, INT, (scmp_datum_t)getpid());

	return (seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
	    &self));
}

static int
deny(scmp_filter_ctx ctx, const int *calls, size_t n, int with)
{
	size_t i;
	int    error = 0;

	for (i = 0; error == 0 && i < n; i++)
		error = seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint16_t)with),
		    calls[i], 0);
	return (error);
}

/* Puts the filter on, and frees it. */
static bool
load(scmp_filter_ctx ctx, int error)
{
	if (error == 0)
		error = seccomp_load(ctx);
	seccomp_release(ctx);
	errno = -error;
	return (error == 0);
}

bool
sandbox_begin(void)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) == -1 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return (false);
#ifndef __SANITIZE_ADDRESS__
	/* The search for leaks is a tracer of its own. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		return (false);
#endif
	return (true);
}

bool
sandbox_child(void)
{
	return (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 &&
	    sandbox_begin());
}

/*
 * Whatever else is called for fails with EPERM, as if the user were not
 * permitted to: a library that tries something unheard of goes on without it.
 * To end the program instead, or to raise a signal that ends it when blocked,
 * would end smtpd.  The kernel is asked to log what is refused, as audit(8)
 * does; the program itself does not see it.
 */
static bool
confine(const struct rule *rules, size_t n)
{
	static const int newer[] = { SCMP_SYS(clone3) };
	scmp_filter_ctx	 ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int		 error;

	if (ctx == NULL) {
		errno = ENOMEM;
		return (false);
	}
	/* A kernel that cannot log it refuses it all the same. */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_LOG, 1);
	error = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (error == 0)
		error = add_rules(ctx, basic, N(basic));
	if (error == 0)
		error = add_rules(ctx, rules, n);
	if (error == 0)
		error = add_own_signals(ctx);
	/* Its arguments cannot be seen; without it, clone(2) is called. */
	if (error == 0)
		error = deny(ctx, newer, N(newer), ENOSYS);
	return (load(ctx, error));
}

bool
sandbox_program(void)
{
	return (confine(program, N(program)));
}

bool
sandbox_page(void)
{
	return (confine(page, N(page)));
}

/* A worker is replaced when it ends, so it is ended. */
bool
sandbox_worker(void)
{
#ifndef __SANITIZE_ADDRESS__
	const struct rlimit data = { WORKER_DATA, WORKER_DATA };

	if (setrlimit(RLIMIT_DATA, &data) == -1)
		return (false);
#endif
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int		error;

	if (ctx == NULL) {
		errno = ENOMEM;
		return (false);
	}
	error = add_rules(ctx, basic, N(basic));
	if (error == 0)
		error = add_rules(ctx, worker, N(worker));
	if (error == 0)
		error = add_own_signals(ctx);
	if (error == 0)
		error = deny(ctx, worker_denied, N(worker_denied), EACCES);
	return (load(ctx, error));
}
