/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <bsd/unistd.h>
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "sandbox.h"
#include "spfcheck.h"
#include "spfdns.h"
#include "spfworker.h"

#define NOBODY 65534

static bool
drop_privileges(void)
{
	const struct rlimit none = { 0, 0 }, few = { 16, 16 };

	if (setrlimit(RLIMIT_FSIZE, &none) == -1 ||
	    setrlimit(RLIMIT_NOFILE, &few) == -1)
		return (false);
	if (geteuid() == 0 &&
	    (setgroups(0, NULL) == -1 ||
		setresgid(NOBODY, NOBODY, NOBODY) == -1 ||
		setresuid(NOBODY, NOBODY, NOBODY) == -1))
		return (false);
	return (sandbox_child());
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

	closefrom(SPF_STARTER_FD + 1);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN); /* meant for the filter, by its name */
	if (recv(STDIN_FILENO, &check, sizeof(check), 0) !=
	    (ssize_t)sizeof(check))
		_exit(1);
	if ((dns = spfdns_new(check.timeout)) == NULL ||
	    (server = SPF_server_new_dns(dns, 0)) == NULL)
		_exit(1);
	if (!drop_privileges() || !sandbox_worker())
		_exit(1);
	serve_questions(server, &check);
	_exit(0);
}
