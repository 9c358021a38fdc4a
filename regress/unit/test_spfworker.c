/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * A worker as it is, this program started anew: what it answers, and what it
 * may do.  For the latter the kernel is asked in its place: it is
 * stopped where it waits and made to call, as code that has taken it over
 * would.
 */

#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "spfstarter.h"
#include "spfwire.h"
#include "spfworker.h"
#include "spfworkers.h"

static pid_t		  worker;
static int		  fd;
static struct spfworkers *workers;

/* Whether the text is in the worker's file of /proc, as of now. */
static bool
in_proc(const char *file, const char *text)
{
	char   path[64], buf[4096];
	size_t n;
	FILE  *fp;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)worker, file);
	if ((fp = fopen(path, "r")) == NULL)
		return (false);
	n = fread(buf, 1, sizeof(buf) - 1, fp);
	buf[n] = '\0';
	fclose(fp);
	return (strstr(buf, text) != NULL);
}

static bool
has_status(const char *line)
{
	return (in_proc("status", line));
}

/* Behind its fence, and waiting for a question. */
static bool
ready(void)
{
	char call[32];

	snprintf(call, sizeof(call), "%d 0x0 ", SYS_recvfrom);
	return (has_status("Seccomp:\t2") && in_proc("syscall", call));
}

static int
start(void **state)
{
	const struct spf_orders check = { .mode = SPF_PUBLISHED };
	int64_t			limit = unit_now() + UNIT_PATIENCE;

	(void)state;
	if ((workers = spfworkers_new()) == NULL)
		return (-1);
	/* Nobody serves names there. */
	fd = spfworkers_start(workers, 0, "127.0.0.1:1", &check);
	if (fd == -1)
		return (-1);
	do {
		sched_yield();
		worker = unit_child(unit_child(getpid()));
	} while ((worker == 0 || !ready()) && unit_now() < limit);
	return (ready() ? 0 : -1);
}

static int
end(void **state)
{
	(void)state;
	close(fd);
	spfworkers_free(workers);
	return (0);
}

static bool
readable(void)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return (poll(&pfd, 1, UNIT_PATIENCE) == 1);
}

static void
test_answers(void **state)
{
	static const char domain[] = "nowhere.test";
	struct spf_answer answer;
	int		  i;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_int_equal(send(fd, domain, strlen(domain), 0),
		    strlen(domain));
		assert_true(readable());
		assert_int_equal(recv(fd, &answer, sizeof(answer), 0),
		    sizeof(answer));
		assert_int_equal(answer.verdict, SPF_VERDICT_UNKNOWN);
		assert_string_equal(answer.record, "");
	}
}

static void
test_ends(void **state)
{
	int64_t limit = unit_now() + UNIT_PATIENCE;

	(void)state;
	assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
	while (!has_status("State:\tZ") && unit_now() < limit)
		sched_yield();
	assert_true(has_status("State:\tZ"));
}

static void
test_status(void **state)
{
	(void)state;
	assert_true(has_status("NoNewPrivs:\t1"));
	assert_true(has_status("CapEff:\t0000000000000000"));
	assert_true(has_status("CapPrm:\t0000000000000000"));
	if (geteuid() == 0) {
		assert_true(has_status("Uid:\t65534\t65534\t65534\t65534"));
		assert_true(has_status("Gid:\t65534\t65534\t65534\t65534"));
	}
}

#ifdef __x86_64__

#define KILLED (-100000) /* no errno */

static void
await_stop(void)
{
	int status;

	assert_int_equal(waitpid(worker, &status, 0), worker);
	assert_true(WIFSTOPPED(status));
}

/* One step of it, from where it waits, with registers of ours. */
static long
make_call(long number, const unsigned long args[6])
{
	struct user_regs_struct old, regs;
	int			status;

	assert_int_equal(ptrace(PTRACE_GETREGS, worker, NULL, &old), 0);
	regs = old;
	regs.rax = (unsigned long)number;
	regs.orig_rax = (unsigned long)-1;
	regs.rip = old.rip - 2; /* the instruction it waits in */
	regs.rdi = args[0];
	regs.rsi = args[1];
	regs.rdx = args[2];
	regs.r10 = args[3];
	regs.r8 = args[4];
	regs.r9 = args[5];
	assert_int_equal(ptrace(PTRACE_SETREGS, worker, NULL, &regs), 0);
	assert_int_equal(ptrace(PTRACE_SINGLESTEP, worker, NULL, NULL), 0);
	assert_int_equal(waitpid(worker, &status, 0), worker);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGSYS);
		return (KILLED);
	}
	assert_true(WIFSTOPPED(status));
	assert_int_equal(WSTOPSIG(status), SIGTRAP);
	assert_int_equal(ptrace(PTRACE_GETREGS, worker, NULL, &regs), 0);
	return ((long)regs.rax);
}

/* Leaves a text where the worker's stack is not in use. */
static unsigned long
put(const char *text, size_t len)
{
	struct user_regs_struct regs;
	struct iovec		from, to;

	assert_int_equal(ptrace(PTRACE_GETREGS, worker, NULL, &regs), 0);
	from.iov_base = (void *)(uintptr_t)text;
	to.iov_base = (void *)(regs.rsp - 4096);
	from.iov_len = to.iov_len = len;
	assert_int_equal(process_vm_writev(worker, &from, 1, &to, 1, 0), len);
	return (regs.rsp - 4096);
}

struct call {
	const char   *what;
	long	      number;
	const char   *text; /* to be the argument number at */
	int	      at;
	unsigned long args[6];
	long	      result; /* -errno, KILLED, or 0: any success */
};

#define ANY 0

/* Each in a worker of its own, for most of these it does not survive. */
static void
try_call(const struct call *c)
{
	unsigned long args[6];
	long	      got;

	assert_int_equal(start(NULL), 0);
	assert_int_equal(ptrace(PTRACE_ATTACH, worker, NULL, NULL), 0);
	await_stop();
	memcpy(args, c->args, sizeof(args));
	if (c->text != NULL)
		args[c->at] = put(c->text, strlen(c->text) + 1);
	got = make_call(c->number, args);
	if (c->result == ANY ? got < 0 : got != c->result)
		fail_msg("%s: %ld", c->what, got);
	if (got != KILLED)
		ptrace(PTRACE_DETACH, worker, NULL, SIGKILL);
	end(NULL);
}

static void
test_calls(void **state)
{
	static const struct call calls[] = {
		/* That the method works at all. */
		{ "getpid", SYS_getpid, NULL, 0, { 0 }, ANY },
		/* Files. */
		{ "open", SYS_open, "/etc/passwd", 0, { 0, O_RDONLY },
		    -EACCES },
		{ "open to write", SYS_open, "/tmp/unit.worker", 0,
		    { 0, O_WRONLY | O_CREAT, 0600 }, -EACCES },
		{ "openat", SYS_openat, "/etc/passwd", 1,
		    { (unsigned long)AT_FDCWD, 0, O_RDONLY }, -EACCES },
		{ "openat to write", SYS_openat, "/tmp/unit.worker", 1,
		    { (unsigned long)AT_FDCWD, 0, O_WRONLY | O_CREAT, 0600 },
		    -EACCES },
		{ "creat", SYS_creat, "/tmp/unit.worker", 0, { 0, 0600 },
		    KILLED },
		{ "openat2", SYS_openat2, "/etc/passwd", 1,
		    { (unsigned long)AT_FDCWD }, KILLED },
		{ "unlink", SYS_unlink, "/tmp/unit.worker", 0, { 0 }, KILLED },
		{ "mkdir", SYS_mkdir, "/tmp/unit.worker", 0, { 0, 0700 },
		    KILLED },
		{ "memfd", SYS_memfd_create, "x", 0, { 0 }, KILLED },
		/* Programs and processes. */
		{ "execve", SYS_execve, "/bin/true", 0, { 0 }, KILLED },
		{ "execveat", SYS_execveat, "/bin/true", 1,
		    { (unsigned long)AT_FDCWD }, KILLED },
		{ "fork", SYS_fork, NULL, 0, { 0 }, KILLED },
		{ "vfork", SYS_vfork, NULL, 0, { 0 }, KILLED },
		{ "clone", SYS_clone, NULL, 0, { SIGCHLD }, KILLED },
		{ "clone3", SYS_clone3, NULL, 0, { 0 }, KILLED },
		{ "ptrace", SYS_ptrace, NULL, 0, { PTRACE_TRACEME }, KILLED },
		{ "process_vm_readv", SYS_process_vm_readv, NULL, 0, { 1 },
		    KILLED },
		{ "kill", SYS_kill, NULL, 0, { 1, 0 }, KILLED },
		{ "pidfd_open", SYS_pidfd_open, NULL, 0, { 1 }, KILLED },
		/* Sockets of its own. */
		{ "udp", SYS_socket, NULL, 0, { AF_INET, SOCK_DGRAM }, KILLED },
		{ "tcp", SYS_socket, NULL, 0, { AF_INET, SOCK_STREAM },
		    KILLED },
		{ "tcp6", SYS_socket, NULL, 0, { AF_INET6, SOCK_STREAM },
		    KILLED },
		{ "connect", SYS_connect, NULL, 0, { 0 }, KILLED },
		{ "bind", SYS_bind, NULL, 0, { 0 }, KILLED },
		{ "sendto", SYS_sendto, "address", 4, { 0, 0, 0, 0, 0, 16 },
		    KILLED },
		{ "sendmsg", SYS_sendmsg, NULL, 0, { 0 }, KILLED },
		{ "sendmmsg", SYS_sendmmsg, NULL, 0, { 0 }, KILLED },
		{ "setsockopt", SYS_setsockopt, NULL, 0, { 0 }, KILLED },
		{ "unix socket", SYS_socket, NULL, 0, { AF_UNIX, SOCK_STREAM },
		    KILLED },
		{ "netlink socket", SYS_socket, NULL, 0,
		    { AF_NETLINK, SOCK_RAW }, KILLED },
		{ "packet socket", SYS_socket, NULL, 0, { AF_PACKET, SOCK_RAW },
		    KILLED },
		{ "socketpair", SYS_socketpair, NULL, 0,
		    { AF_UNIX, SOCK_STREAM }, KILLED },
		{ "listen", SYS_listen, NULL, 0, { 0 }, KILLED },
		{ "accept", SYS_accept, NULL, 0, { 0 }, KILLED },
		/* The rest of the kernel. */
		{ "setuid", SYS_setuid, NULL, 0, { 0 }, KILLED },
		{ "prctl", SYS_prctl, NULL, 0, { 0 }, KILLED },
		{ "mount", SYS_mount, NULL, 0, { 0 }, KILLED },
		{ "unshare", SYS_unshare, NULL, 0, { CLONE_NEWUSER }, KILLED },
		{ "bpf", SYS_bpf, NULL, 0, { 0 }, KILLED },
		{ "keyctl", SYS_keyctl, NULL, 0, { 0 }, KILLED },
		{ "io_uring_setup", SYS_io_uring_setup, NULL, 0, { 1 },
		    KILLED },
		{ "userfaultfd", SYS_userfaultfd, NULL, 0, { 0 }, KILLED },
		{ "ioperm", SYS_ioperm, NULL, 0, { 0 }, KILLED },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		try_call(&calls[i]);
	assert_int_equal(access("/tmp/unit.worker", F_OK), -1);
}

/* It runs as the filter's user where that is not root's: not even then. */
static void
test_signals_to_others(void **state)
{
	struct call c = { "tgkill", SYS_tgkill, NULL, 0, { 0 }, KILLED };

	(void)state;
	c.args[0] = c.args[1] = (unsigned long)getpid();
	assert_int_equal(start(NULL), 0);
	assert_int_equal(ptrace(PTRACE_ATTACH, worker, NULL, NULL), 0);
	await_stop();
	/* EPERM is what the kernel says when seccomp lets it through. */
	assert_int_equal(make_call(c.number, c.args), KILLED);
	end(NULL);
}

#else

static void
test_calls(void **state)
{
	(void)state;
	skip();
}

static void
test_signals_to_others(void **state)
{
	(void)state;
	skip();
}

#endif

int
main(int argc, char *argv[])
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)
	const struct CMUnitTest tests[] = { TEST(test_answers), TEST(test_ends),
		TEST(test_status), cmocka_unit_test(test_calls),
		cmocka_unit_test(test_signals_to_others) };

	if (argc == 2 && strcmp(argv[1], "-W") == 0)
		spfworker();
	if (argc == 2 && strcmp(argv[1], "-S") == 0)
		spfstarter();
	signal(SIGPIPE, SIG_IGN);
	return (cmocka_run_group_tests_name("spfworker", tests, NULL, NULL));
}
