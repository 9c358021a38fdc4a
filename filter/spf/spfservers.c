/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/socket.h>
#include <sys/types.h>

#include <bsd/string.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "spfservers.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define LOCAL "127.0.0.1"
#define PORT "53"
#define SERVER_MAX 128

static void
add_server(struct spfservers *s, const char *addr, const char *port)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST |
		    AI_NUMERICSERV,
		.ai_socktype = SOCK_DGRAM };
	struct addrinfo	     *ai;

	if (s->n == SPFSERVERS_MAX || getaddrinfo(addr, port, &hints, &ai) != 0)
		return;
	memcpy(&s->server[s->n].addr, ai->ai_addr, ai->ai_addrlen);
	s->server[s->n++].len = ai->ai_addrlen;
	freeaddrinfo(ai);
}

/* Cuts address:port or [address]:port up in place. */
static const char *
cut_port(char *server)
{
	char *colon = strrchr(server, ':');

	if (colon == NULL || (strchr(server, ':') != colon && server[0] != '['))
		return (PORT);
	if (server[0] == '[' && colon[-1] != ']')
		return (PORT);
	*colon = '\0';
	return (colon + 1);
}

static void
add_resolver(struct spfservers *s, const char *resolver)
{
	char	    server[SERVER_MAX], *addr = server;
	const char *port;

	strlcpy(server, resolver, sizeof(server));
	port = cut_port(server);
	if (addr[0] == '[') {
		addr++;
		addr[strcspn(addr, "]")] = '\0';
	}
	add_server(s, addr, port);
}

void
spfservers_read_file(struct spfservers *s, const char *path)
{
	char  line[512], addr[SERVER_MAX];
	FILE *fp;

	s->n = 0;
	if ((fp = fopen(path, "re")) != NULL) {
		while (fgets(line, sizeof(line), fp) != NULL)
			if (sscanf(line, "nameserver %127s", addr) == 1)
				add_server(s, addr, PORT);
		fclose(fp);
	}
	if (s->n == 0)
		add_server(s, LOCAL, PORT);
}

void
spfservers_read(struct spfservers *s, const char *resolver)
{
	s->n = 0;
	if (resolver[0] != '\0')
		add_resolver(s, resolver);
	else
		spfservers_read_file(s, RESOLV_CONF);
}

int
spfservers_connect(const struct spfservers *s, size_t i, bool stream)
{
	const struct sockaddr *addr;
	int		       fd;

	if (i >= s->n)
		return (-1);
	addr = (const struct sockaddr *)&s->server[i].addr;
	fd = socket(addr->sa_family,
	    (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (fd == -1)
		return (-1);
	if (connect(fd, addr, s->server[i].len) == 0 || errno == EINPROGRESS)
		return (fd);
	close(fd);
	return (-1);
}
