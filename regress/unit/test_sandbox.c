/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * What a program that is confined can no more do, and what it still can, tried
 * in a process of its own.  For workers see test_spfworker.c.
 */

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <crypt.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "sandbox.h"

/* A page that is there, for what is to be written to or executed. */
static void *page;

/* The status that a process which has been confined for it ends with. */
static int
confined_by(bool (*confine)(void), int (*what)(const void *), const void *arg)
{
	int   status;
	pid_t pid = fork();

	if (pid == 0) {
		if (!sandbox_begin() || !confine())
			_exit(255);
		_exit(what(arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		fail_msg("ended by signal %d", WTERMSIG(status));
	return (WEXITSTATUS(status));
}

static int
confined(int (*what)(const void *), const void *arg)
{
	return (confined_by(sandbox_program, what, arg));
}

struct call {
	const char   *what;
	long	      number;
	unsigned long args[6];
};

/* errno, or 0. */
static int
make_call(const void *arg)
{
	const struct call   *c = arg;
	const unsigned long *a = c->args;
	long		     got;

	errno = 0;
	got = syscall(c->number, a[0], a[1], a[2], a[3], a[4], a[5]);
	return (got == -1 ? errno : 0);
}

#define HERE ((unsigned long)AT_FDCWD)
#define TEXT(text) ((unsigned long)(uintptr_t)(text))
#define NOWHERE "/tmp/unit.sandbox"

/* Each of these would succeed or fail in another way if it were let through. */
static void
test_forbidden(void **state)
{
	const struct call calls[] = {
		/* Files. */
		{ "openat to write", SYS_openat,
		    { HERE, TEXT("/dev/null"), O_WRONLY } },
		{ "openat to read and write", SYS_openat,
		    { HERE, TEXT("/dev/null"), O_RDWR } },
		{ "openat to create", SYS_openat,
		    { HERE, TEXT(NOWHERE), O_RDONLY | O_CREAT, 0600 } },
		{ "openat to cut", SYS_openat,
		    { HERE, TEXT(NOWHERE), O_RDONLY | O_TRUNC } },
		{ "openat2", SYS_openat2, { HERE, TEXT("/etc/passwd") } },
		{ "unlinkat", SYS_unlinkat, { HERE, TEXT(NOWHERE) } },
		{ "mkdirat", SYS_mkdirat, { HERE, TEXT(NOWHERE), 0700 } },
		{ "renameat2", SYS_renameat2,
		    { HERE, TEXT(NOWHERE), HERE, TEXT(NOWHERE "2") } },
		{ "symlinkat", SYS_symlinkat,
		    { TEXT("x"), HERE, TEXT(NOWHERE) } },
		{ "fchmodat", SYS_fchmodat, { HERE, TEXT(NOWHERE), 0777 } },
		{ "fchownat", SYS_fchownat, { HERE, TEXT(NOWHERE) } },
		{ "truncate", SYS_truncate, { TEXT(NOWHERE) } },
		{ "memfd_create", SYS_memfd_create, { TEXT("x") } },
		/* Programs and processes. */
		{ "execve", SYS_execve, { TEXT("/nowhere") } },
		{ "execveat", SYS_execveat, { HERE, TEXT("/nowhere") } },
		{ "clone", SYS_clone, { SIGCHLD } },
		{ "kill", SYS_kill, { 1, 0 } },
		{ "tgkill", SYS_tgkill, { 1, 1, 0 } },
		{ "pidfd_open", SYS_pidfd_open, { 1 } },
		{ "process_vm_writev", SYS_process_vm_writev, { 1 } },
#ifndef __SANITIZE_ADDRESS__
		{ "ptrace", SYS_ptrace, { PTRACE_TRACEME } },
		{ "prctl", SYS_prctl, { 0 } },
#endif
		/* Sockets. */
		{ "packet socket", SYS_socket, { AF_PACKET, SOCK_RAW } },
		{ "packet socket", SYS_socket, { AF_PACKET, SOCK_DGRAM } },
		{ "raw socket", SYS_socket,
		    { AF_INET, SOCK_RAW, IPPROTO_ICMP } },
		{ "raw socket", SYS_socket,
		    { AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6 } },
		{ "netlink socket", SYS_socket,
		    { AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER } },
		{ "listen", SYS_listen, { 0 } },
		{ "accept4", SYS_accept4, { 0 } },
		/* Memory that is written to and executed. */
		{ "mmap", SYS_mmap,
		    { 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			MAP_PRIVATE | MAP_ANONYMOUS, (unsigned long)-1 } },
		{ "mprotect", SYS_mprotect,
		    { TEXT(page), 4096, PROT_READ | PROT_EXEC } },
		/* Limits, rights and the rest of the kernel. */
		{ "prlimit64", SYS_prlimit64,
		    { 0, RLIMIT_CORE, TEXT(page), 0 } },
		{ "setrlimit", SYS_setrlimit, { RLIMIT_CORE, TEXT(page) } },
		{ "setpriority", SYS_setpriority, { PRIO_USER } },
		{ "setuid", SYS_setuid, { 0 } },
		{ "capset", SYS_capset, { 0 } },
		{ "chroot", SYS_chroot, { TEXT("/") } },
		{ "mount", SYS_mount, { 0 } },
		{ "unshare", SYS_unshare, { CLONE_NEWUSER } },
		{ "setns", SYS_setns, { 0 } },
		{ "bpf", SYS_bpf, { 0 } },
		{ "keyctl", SYS_keyctl, { 0 } },
		{ "perf_event_open", SYS_perf_event_open, { 0 } },
		{ "io_uring_setup", SYS_io_uring_setup, { 1 } },
		{ "userfaultfd", SYS_userfaultfd, { 0 } },
		{ "ioctl", SYS_ioctl, { 0, TIOCSTI, TEXT("x") } },
	};
	size_t i;
	int    got;

	(void)state;
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		got = confined(make_call, &calls[i]);
		if (got != EPERM)
			fail_msg("%s: %d", calls[i].what, got);
	}
	assert_int_equal(access(NOWHERE, F_OK), -1);
}

/* libc asks for it first, and does with clone(2) what it does not have. */
static void
test_clone3(void **state)
{
	const struct call c = { "clone3", SYS_clone3, { 0 } };

	(void)state;
	assert_int_equal(confined(make_call, &c), ENOSYS);
}

static int
see_status(const void *arg)
{
	char   text[4096];
	size_t n;
	FILE  *fp = fopen("/proc/self/status", "r");

	if (fp == NULL)
		return (1);
	n = fread(text, 1, sizeof(text) - 1, fp);
	text[n] = '\0';
	fclose(fp);
	return (strstr(text, arg) == NULL);
}

static int
see_core_limit(const void *arg)
{
	struct rlimit limit;

	(void)arg;
	return (getrlimit(RLIMIT_CORE, &limit) == -1 || limit.rlim_cur != 0 ||
	    limit.rlim_max != 0);
}

static void
test_status(void **state)
{
	(void)state;
	assert_int_equal(confined(see_status, "Seccomp:\t2"), 0);
	assert_int_equal(confined(see_status, "NoNewPrivs:\t1"), 0);
	assert_int_equal(confined(see_core_limit, NULL), 0);
}

/* Threads. */

static void *
try_to_write(void *arg)
{
	int *fds = arg;
	char byte;
	int  fd;

	/* Whether it has been there before or not. */
	if (fds != NULL && read(fds[0], &byte, 1) != 1)
		return (NULL);
	errno = 0;
	fd = open("/dev/null", O_WRONLY);
	if (fd == -1)
		return (errno == EPERM ? "refused" : NULL);
	close(fd);
	return (NULL);
}

static int
start_thread(const void *arg)
{
	pthread_t thread;
	void	 *refused = NULL;

	(void)arg;
	return (pthread_create(&thread, NULL, try_to_write, NULL) != 0 ||
	    pthread_join(thread, &refused) != 0 || refused == NULL);
}

static void
confine_threads(void)
{
	pthread_t thread;
	void	 *refused = NULL;
	int	  fds[2];

	if (pipe(fds) == -1 ||
	    pthread_create(&thread, NULL, try_to_write, fds) != 0 ||
	    !sandbox_begin() || !sandbox_program() ||
	    write(fds[1], "x", 1) != 1 || pthread_join(thread, &refused) != 0)
		_exit(2);
	_exit(refused == NULL ? 1 : 0);
}

static void
test_threads(void **state)
{
	int   status;
	pid_t pid;

	(void)state;
	assert_int_equal(confined(start_thread, NULL), 0);
	if ((pid = fork()) == 0)
		confine_threads();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* What is left. */

static int
read_file(const void *arg)
{
	char  byte;
	FILE *fp = fopen(arg, "re");

	return (fp == NULL || fread(&byte, 1, 1, fp) != 1);
}

static int
look_up(const void *arg)
{
	struct addrinfo *ai;

	if (getaddrinfo(arg, "6379", NULL, &ai) != 0)
		return (1);
	freeaddrinfo(ai);
	return (0);
}

static int
list_interfaces(const void *arg)
{
	struct ifaddrs *ifa;

	(void)arg;
	if (getifaddrs(&ifa) == -1)
		return (1);
	freeifaddrs(ifa);
	return (0);
}

/* As nsswitch.conf(5) may ask for. */
static int
load_library(const void *arg)
{
	void *library = dlopen(arg, RTLD_NOW);

	if (library == NULL)
		return (1);
	dlclose(library);
	return (0);
}

static int
compute_hash(const void *arg)
{
	const char *hash = crypt("word", arg);

	return (hash == NULL || hash[0] == '*');
}

static int
connect_to(const void *arg)
{
	const struct sockaddr *sa = arg;
	socklen_t len = sa->sa_family == AF_UNIX ? sizeof(struct sockaddr_un)
						 : sizeof(struct sockaddr_in);
	int	  fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);

	return (fd == -1 ||
	    (connect(fd, sa, len) == -1 && errno != EINPROGRESS));
}

static void
test_left(void **state)
{
	(void)state;
	assert_int_equal(confined(read_file, "/etc/passwd"), 0);
	assert_int_equal(confined(look_up, "localhost"), 0);
	assert_int_equal(confined(look_up, "127.0.0.1"), 0);
	assert_int_equal(confined(list_interfaces, NULL), 0);
	assert_int_equal(confined(load_library, "libnss_files.so.2"), 0);
	assert_int_equal(confined(compute_hash, "$6$salt"), 0);
	assert_int_equal(confined(compute_hash, "$y$j9T$salt"), 0);
}

static void
test_connections(void **state)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char		   dir[UNIT_PATH];
	socklen_t	   len = sizeof(sin);
	int		   tcp = socket(AF_INET, SOCK_STREAM, 0);
	int		   local = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	if (tcp == -1 || local == -1)
		fail();
	assert_int_equal(listen(tcp, 1), 0);
	assert_int_equal(getsockname(tcp, (struct sockaddr *)&sin, &len), 0);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	unit_make_dir(dir);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/socket", dir);
	assert_int_equal(bind(local, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(local, 1), 0);
	assert_int_equal(confined(connect_to, &sun), 0);
	assert_int_equal(confined(connect_to, &sin), 0);
	assert_int_equal(confined_by(sandbox_page, connect_to, &sun), 0);
	assert_int_equal(confined_by(sandbox_page, connect_to, &sin), 0);
	unlink(sun.sun_path);
	rmdir(dir);
	close(tcp);
	close(local);
}

/* What programs may do, and the one that prints a page has no need for. */
static void
test_page(void **state)
{
	const struct call calls[] = {
		{ "openat", SYS_openat, { HERE, TEXT("/etc/passwd") } },
		{ "readlinkat", SYS_readlinkat, { HERE, TEXT("/proc/self") } },
		{ "clone", SYS_clone,
		    { CLONE_VM | CLONE_SIGHAND | CLONE_THREAD } },
		{ "execve", SYS_execve, { TEXT("/nowhere") } },
		{ "bind", SYS_bind, { 0 } },
		{ "getdents64", SYS_getdents64, { 0 } },
		{ "datagrams", SYS_socket, { AF_INET, SOCK_DGRAM } },
		{ "netlink socket", SYS_socket,
		    { AF_NETLINK, SOCK_RAW, NETLINK_ROUTE } },
		{ "mmap", SYS_mmap,
		    { 0, 4096, PROT_READ | PROT_EXEC,
			MAP_PRIVATE | MAP_ANONYMOUS, (unsigned long)-1 } },
	};
	size_t i;
	int    got;

	(void)state;
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		got = confined_by(sandbox_page, make_call, &calls[i]);
		if (got != EPERM)
			fail_msg("%s: %d", calls[i].what, got);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_forbidden),
		cmocka_unit_test(test_clone3), cmocka_unit_test(test_status),
		cmocka_unit_test(test_threads), cmocka_unit_test(test_left),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_page) };

	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return (1);
	return (cmocka_run_group_tests_name("sandbox", tests, NULL, NULL));
}
