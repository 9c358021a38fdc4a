/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * load sink-port clients sessions messages port
 *
 * Clients at once log in by implicit TLS at 127.0.0.1, each so many sessions
 * one after another, and send so many messages in each; at sink-port is where
 * the relay brings them meanwhile.  Name and password are the two lines of
 * standard input.  Prints how many messages there were and how many seconds it
 * took until all were accepted, not counting a first one of each client.
 */

#include <sys/socket.h>
#include <sys/types.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BODY_LINES 30

static SSL_CTX		*tls;
static pthread_barrier_t warm; /* all clients have been served once */
static char		 credentials[1024];
static char		 message[8192];
static long		 sessions, messages;
static int		 port;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

static struct sockaddr_in
loopback(int number)
{
	struct sockaddr_in sin;

	memset(&sin, 0, sizeof(sin));
	sin.sin_family = AF_INET;
	sin.sin_port = htons((uint16_t)number);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return (sin);
}

/*
 * smtpd's own sockets wait for an acknowledgement before a second small
 * packet, and those come late by default: what would be measured is timers.
 * The kernel forgets this, so it is asked for again before each read.
 */
static void
acknowledge_now(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

static void
without_delay(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	acknowledge_now(fd);
}

/* The sink: takes everything, keeps nothing. */

static void
sink_session(FILE *in, FILE *out)
{
	char line[4096];
	bool data = false;

	fputs("220 sink\r\n", out);
	fflush(out);
	while (fgets(line, sizeof(line), in) != NULL) {
		acknowledge_now(fileno(in));
		if (data && strcmp(line, ".\r\n") != 0)
			continue;
		if (data) {
			data = false;
			fputs("250 ok\r\n", out);
		} else if (strncasecmp(line, "DATA", 4) == 0) {
			data = true;
			fputs("354 go on\r\n", out);
		} else if (strncasecmp(line, "QUIT", 4) == 0) {
			fputs("221 bye\r\n", out);
			return;
		} else
			fputs("250 ok\r\n", out);
		fflush(out);
	}
}

static void *
sink_thread(void *arg)
{
	int   fd = (int)(intptr_t)arg, copy = dup(fd);
	FILE *in, *out;

	if (copy == -1)
		err(1, "dup");
	in = fdopen(fd, "r");
	out = fdopen(copy, "w");
	if (in == NULL || out == NULL)
		err(1, "fdopen");
	without_delay(fd);
	sink_session(in, out);
	fclose(out);
	fclose(in);
	return (NULL);
}

static void *
sink(void *arg)
{
	int	  listener = (int)(intptr_t)arg, fd;
	pthread_t thread;

	while ((fd = accept(listener, NULL, NULL)) != -1) {
		if (pthread_create(&thread, NULL, sink_thread,
			(void *)(intptr_t)fd) != 0)
			errx(1, "pthread_create");
		pthread_detach(thread);
	}
	return (NULL);
}

static void
start_sink(int number)
{
	struct sockaddr_in sin = loopback(number);
	pthread_t	   thread;
	int		   fd, on = 1;

	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(fd, 128) == -1)
		err(1, "sink");
	if (pthread_create(&thread, NULL, sink, (void *)(intptr_t)fd) != 0)
		errx(1, "pthread_create");
	pthread_detach(thread);
}

/* The clients. */

/* A reply is whole when its last line has a space behind the code. */
static void
want(SSL *ssl, const char *code)
{
	char   buf[8192], *line;
	size_t len = 0;
	int    n;

	do {
		acknowledge_now(SSL_get_fd(ssl));
		n = SSL_read(ssl, buf + len, (int)(sizeof(buf) - len - 1));
		if (n <= 0)
			errx(1, "the relay hung up");
		len += (size_t)n;
		buf[len] = '\0';
		buf[len - 1] = '\0';
		line = strrchr(buf, '\n');
		line = line == NULL ? buf : line + 1;
		buf[len - 1] = '\n';
	} while (strlen(line) < 4 || strchr(line, '\n') == NULL ||
	    line[3] != ' ');
	if (strncmp(line, code, 3) != 0)
		errx(1, "wanted %s, got %s", code, line);
}

static void
say(SSL *ssl, const char *text, const char *code)
{
	if (SSL_write(ssl, text, (int)strlen(text)) <= 0)
		errx(1, "the relay hung up");
	want(ssl, code);
}

static void
session(long count)
{
	struct sockaddr_in sin = loopback(port);
	SSL		  *ssl = SSL_new(tls);
	long		   i;
	int		   fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd == -1 || connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1)
		err(1, "connect");
	without_delay(fd);
	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1)
		errx(1, "no TLS");
	want(ssl, "220");
	say(ssl, "EHLO client.test\r\n", "250");
	say(ssl, credentials, "235");
	for (i = 0; i < count; i++) {
		say(ssl, "MAIL FROM:<user0@example.test>\r\n", "250");
		say(ssl, "RCPT TO:<someone@example.net>\r\n", "250");
		say(ssl, "DATA\r\n", "354");
		say(ssl, message, "250");
	}
	say(ssl, "QUIT\r\n", "221");
	SSL_free(ssl);
	close(fd);
}

static void *
client(void *arg)
{
	long i;

	session(1);
	pthread_barrier_wait(&warm);
	for (i = 0; i < sessions; i++)
		session(messages);
	return (arg);
}

static void
read_credentials(void)
{
	char name[128], password[128], plain[300];
	char coded[4 * sizeof(plain) / 3 + 4];
	int  len;

	if (fgets(name, sizeof(name), stdin) == NULL ||
	    fgets(password, sizeof(password), stdin) == NULL)
		errx(1, "no name and password on standard input");
	name[strcspn(name, "\n")] = '\0';
	password[strcspn(password, "\n")] = '\0';
	len = snprintf(plain, sizeof(plain), "%c%s%c%s", '\0', name, '\0',
	    password);
	EVP_EncodeBlock((unsigned char *)coded, (unsigned char *)plain, len);
	snprintf(credentials, sizeof(credentials), "AUTH PLAIN %s\r\n", coded);
}

static void
write_message(void)
{
	FILE *f = fmemopen(message, sizeof(message), "w");
	int   i;

	if (f == NULL)
		err(1, "fmemopen");
	fputs("From: User <user0@example.test>\r\n"
	      "To: someone@example.net\r\nSubject: a message\r\n\r\n",
	    f);
	for (i = 0; i < BODY_LINES; i++)
		fputs("Sixty characters of text, and a line's end, as mail "
		      "has them..\r\n",
		    f);
	fputs(".\r\n", f);
	fclose(f);
}

/* The seconds until all messages were accepted. */
static double
run(long clients)
{
	pthread_t *threads;
	double	   began, took;
	long	   i;

	threads = calloc((size_t)clients, sizeof(*threads));
	if (threads == NULL)
		err(1, NULL);
	if (pthread_barrier_init(&warm, NULL, (unsigned int)clients + 1) != 0)
		errx(1, "pthread_barrier_init");
	for (i = 0; i < clients; i++)
		if (pthread_create(&threads[i], NULL, client, NULL) != 0)
			errx(1, "pthread_create");
	pthread_barrier_wait(&warm);
	began = now();
	for (i = 0; i < clients; i++)
		pthread_join(threads[i], NULL);
	took = now() - began;
	free(threads);
	return (took);
}

int
main(int argc, char **argv)
{
	long clients;

	if (argc != 6)
		errx(64,
		    "usage: load sink-port clients sessions messages port");
	clients = strtol(argv[2], NULL, 10);
	sessions = strtol(argv[3], NULL, 10);
	messages = strtol(argv[4], NULL, 10);
	port = (int)strtol(argv[5], NULL, 10);
	read_credentials();
	write_message();
	tls = SSL_CTX_new(TLS_client_method());
	if (tls == NULL)
		errx(1, "no TLS");
	start_sink((int)strtol(argv[1], NULL, 10));
	printf("%ld %.6f\n", clients * sessions * messages, run(clients));
	fflush(stdout);
	/* exit(3) would wait for the sink, and that for the relay. */
	_exit(0);
}
