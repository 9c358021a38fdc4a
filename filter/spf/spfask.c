/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/socket.h>
#include <sys/types.h>

#include <arpa/nameser.h>
#include <netinet/in.h>

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <resolv.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "monotonic.h"
#include "spfask.h"
#include "spffd.h"
#include "spfwire.h"

#define RECURSE 0x01   /* in the third byte of a header */
#define TRUNCATED 0x02 /* likewise */
#define RESPONSE 0x80
#define RCODE 0x0f /* in the fourth */

/* What is asked, as it goes over a stream: its length is in front. */
struct query {
	size_t	len;
	uint8_t wire[2 + NS_HFIXEDSZ + NS_MAXCDNAME + NS_QFIXEDSZ];
};

struct answer {
	uint8_t *data;
	size_t	 size;
	size_t	 len;
};

static struct {
	int	 timeout;
	uint32_t nservers;
	uint32_t best; /* answered last */
} asking;

static uint8_t *
put16(uint8_t *p, unsigned int value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
	return (p + 2);
}

static bool
make_query(struct query *q, const char *name, int type)
{
	uint8_t *p = q->wire + 2;
	int	 n;

	memset(p, 0, NS_HFIXEDSZ);
	put16(p, arc4random_uniform(0x10000));
	p[2] = RECURSE;
	p[5] = 1; /* question */
	p += NS_HFIXEDSZ;
	if ((n = dn_comp(name, p, NS_MAXCDNAME, NULL, NULL)) == -1)
		return (false);
	p = put16(put16(p + n, (unsigned int)type), ns_c_in);
	q->len = (size_t)(p - q->wire) - 2;
	put16(q->wire, (unsigned int)q->len);
	return (true);
}

/* Whether it is a response to this question, whatever it says. */
static bool
answers(const struct query *q, const struct answer *a)
{
	const uint8_t *asked = q->wire + 2;
	size_t	       i;

	if (a->len < q->len || memcmp(a->data, asked, 2) != 0 ||
	    (a->data[2] & RESPONSE) == 0 ||
	    memcmp(a->data + 4, asked + 4, 2) != 0)
		return (false);
	for (i = NS_HFIXEDSZ; i < q->len; i++)
		if (tolower(a->data[i]) != tolower(asked[i]))
			return (false);
	return (true);
}

/* A socket to a server; -1 when there is none. */
static int
get_socket(uint32_t server, bool stream)
{
	struct spf_want	 want;
	struct spf_given given;
	int		 fd;

	memset(&want, 0, sizeof(want));
	want.server = server;
	want.stream = stream;
	if (!spffd_send(SPF_STARTER_FD, &want, sizeof(want), -1) ||
	    spffd_recv(SPF_STARTER_FD, &given, sizeof(given), &fd, 0) !=
		(ssize_t)sizeof(given))
		_exit(1);
	asking.nservers = given.nservers;
	return (fd);
}

void
spfask_init(int timeout_ms)
{
	int fd = get_socket(0, false); /* tells how many there are */

	if (fd != -1)
		close(fd);
	asking.timeout = timeout_ms;
	asking.best = 0;
}

/* Waits for the socket, at most until then. */
static bool
ready(int fd, short events, int64_t until)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int64_t	      left;
	int	      n;

	do {
		if ((left = until - monotonic_ms()) <= 0)
			return (false);
		n = poll(&pfd, 1, (int)left);
	} while (n == -1 && errno == EINTR);
	return (n == 1);
}

static bool
ask_datagram(int fd, const struct query *q, struct answer *a, int64_t until)
{
	ssize_t n;

	if (send(fd, q->wire + 2, q->len, MSG_NOSIGNAL) == -1)
		return (false);
	while (ready(fd, POLLIN, until)) {
		n = recv(fd, a->data, a->size, MSG_DONTWAIT);
		if (n == -1 && errno != EAGAIN && errno != EINTR)
			return (false);
		if (n == -1)
			continue;
		a->len = (size_t)n;
		/* What is no answer to this may be somebody's guess. */
		if (answers(q, a))
			return (true);
	}
	return (false);
}

static bool
send_all(int fd, const uint8_t *data, size_t len, int64_t until)
{
	ssize_t n;

	while (len > 0) {
		if (!ready(fd, POLLOUT, until))
			return (false);
		n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n == -1 && errno != EAGAIN && errno != EINTR)
			return (false);
		if (n == -1)
			continue;
		data += n;
		len -= (size_t)n;
	}
	return (true);
}

static bool
recv_all(int fd, uint8_t *data, size_t len, int64_t until)
{
	ssize_t n;

	while (len > 0) {
		if (!ready(fd, POLLIN, until))
			return (false);
		n = recv(fd, data, len, MSG_DONTWAIT);
		if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
			return (false);
		if (n == -1)
			continue;
		data += n;
		len -= (size_t)n;
	}
	return (true);
}

static bool
ask_stream(int fd, const struct query *q, struct answer *a, int64_t until)
{
	uint8_t head[2];

	if (!send_all(fd, q->wire, q->len + 2, until) ||
	    !recv_all(fd, head, sizeof(head), until))
		return (false);
	a->len = (size_t)head[0] << 8 | head[1];
	return (a->len <= a->size && recv_all(fd, a->data, a->len, until) &&
	    answers(q, a) && (a->data[2] & TRUNCATED) == 0);
}

static bool
ask_by(uint32_t server, bool stream, const struct query *q, struct answer *a,
    int64_t until)
{
	int  fd = get_socket(server, stream);
	bool ok;

	if (fd == -1)
		return (false);
	ok = stream ? ask_stream(fd, q, a, until)
		    : ask_datagram(fd, q, a, until);
	close(fd);
	return (ok);
}

/* Whether the server knows: that the name is not there is knowledge too. */
static bool
ask_server(uint32_t server, const struct query *q, struct answer *a,
    int64_t until)
{
	int rcode;

	if (!ask_by(server, false, q, a, until))
		return (false);
	if ((a->data[2] & TRUNCATED) != 0 && !ask_by(server, true, q, a, until))
		return (false);
	rcode = a->data[3] & RCODE;
	return (rcode == ns_r_noerror || rcode == ns_r_nxdomain);
}

int
spfask(const char *name, int type, uint8_t *data, size_t size)
{
	struct answer a = { data, size, 0 };
	struct query  q;
	int64_t	      now, end = monotonic_ms() + asking.timeout;
	uint32_t      n, server = asking.best;

	if (!make_query(&q, name, type))
		return (-NO_RECOVERY);
	for (n = asking.nservers; n > 0; n--) {
		now = monotonic_ms();
		if (ask_server(server, &q, &a, now + (end - now) / n)) {
			asking.best = server;
			return ((a.data[3] & RCODE) == ns_r_nxdomain
				? -HOST_NOT_FOUND
				: (int)a.len);
		}
		server = (server + 1) % asking.nservers;
	}
	return (-TRY_AGAIN);
}
