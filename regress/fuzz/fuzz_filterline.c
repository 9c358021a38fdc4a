/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * Lines in chunks of any size, read as the filter reads them.  The bytes up
 * to the first NUL are the sizes of the chunks, the rest is what smtpd says.
 */

#include <sys/socket.h>

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filterline.h"
#include "lineio.h"
#include "nexthop.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

#define FUZZ_MAX (1 << 20) /* recipients that fit into an input */

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* What is still to be handed out. */
struct expected {
	const char *text;
	size_t	    len;
	bool	    eof;
};

static struct event_base *base;

/* From line to line of one input, as the filter keeps it. */
static struct filterline_run run;

/* The fast path and the thorough one must see the same. */
static void
check_same(const char *data, uint64_t session, const char *why,
    const struct filterline *fl, bool has_nul)
{
	if (data != NULL) {
		CHECK(why == NULL);
		CHECK(fl->kind == LINE_REQUEST);
		CHECK(fl->event == EV_DATA_LINE);
		CHECK(fl->session == session);
		CHECK(data + FILTERLINE_DATA_TEXT == fl->params);
	} else if (!has_nul && why == NULL && fl->kind == LINE_REQUEST)
		CHECK(fl->event != EV_DATA_LINE || fl->params[0] == '\0');
}

/* What the line before has left must not change what this one is. */
static const char *
parse_data(const char *line, size_t len)
{
	struct filterline_run fresh;
	const char	     *data = filterline_data(line, len, &run);

	memset(&fresh, 0, sizeof(fresh));
	CHECK(filterline_data(line, len, &fresh) == data);
	if (data != NULL) {
		CHECK(data - line >= 26);
		CHECK(run.session == fresh.session);
		CHECK(memcmp(run.head, fresh.head, sizeof(run.head)) == 0);
	}
	return (data);
}

static void
on_delivered(void *arg, uint32_t msgid, size_t accepted, size_t refused)
{
	(void)arg;
	(void)msgid;
	CHECK(accepted + refused > 0 && accepted + refused < FUZZ_MAX);
}

static struct nexthops hops = { .cb = on_delivered };

static void
hear(const struct filterline *fl)
{
	switch (fl->event) {
	case EV_LINK_CONNECT:
		nexthop_open(&hops, fl->session);
		break;
	case EV_LINK_DISCONNECT:
		nexthop_close(&hops, fl->session);
		break;
	case EV_TX_BEGIN:
		nexthop_begin(&hops, fl->session, 1);
		break;
	case EV_PROTOCOL_CLIENT:
		nexthop_asked(&hops, fl->session, fl->params);
		break;
	case EV_PROTOCOL_SERVER:
		nexthop_answered(&hops, fl->session, fl->params);
		break;
	default:
		break;
	}
}

static void
parse(char *line, size_t len)
{
	struct filterline fl;
	const char	 *data, *why, *source;
	bool		  has_nul = memchr(line, '\0', len) != NULL;

	data = parse_data(line, len);
	why = filterline_parse(line, len, &fl);
	check_same(data, run.session, why, &fl, has_nul);
	if (why != NULL) {
		CHECK(why[0] != '\0');
		return;
	}
	CHECK(fl.params >= line && fl.params <= line + len);
	CHECK(fl.name >= line && fl.name + strlen(fl.name) <= line + len);
	CHECK(!fl.out || fl.kind == LINE_REPORT);
	if (fl.out)
		hear(&fl);
	if (fl.kind != LINE_REPORT)
		return;
	source = filterline_source(fl.params);
	CHECK(strchr(source, '|') == NULL);
	CHECK(source[0] == '\0' ||
	    (source > fl.params && source + strlen(source) <= line + len));
}

static void
on_line(void *arg, char *line, size_t len, bool first)
{
	struct expected *exp = arg;
	char		*copy;

	(void)first;
	CHECK(len < exp->len && exp->text[len] == '\n');
	CHECK(memcmp(line, exp->text, len) == 0);
	CHECK(line[len] == '\0');
	exp->text += len + 1;
	exp->len -= len + 1;
	/* Alone in its memory, a step beyond it is seen. */
	copy = malloc(len + 1);
	CHECK(copy != NULL);
	memcpy(copy, line, len + 1);
	parse(copy, len);
	free(copy);
}

static void
on_overlong(void *arg, char *head, size_t len)
{
	(void)arg;
	(void)head;
	(void)len;
	abort(); /* no input is that long */
}

static void
on_eof(void *arg)
{
	struct expected *exp = arg;

	CHECK(memchr(exp->text, '\n', exp->len) == NULL);
	exp->eof = true;
}

static void
feed(int fd, const uint8_t *sizes, const char *text, size_t len)
{
	size_t	off = 0, n, i = 0;
	ssize_t w;

	while (off < len) {
		n = sizes[i] != 0 ? sizes[i++] : len - off;
		if (n > len - off)
			n = len - off;
		w = write(fd, text + off, n);
		CHECK(w > 0);
		off += (size_t)w;
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct lineio_handler handler = { on_line, on_overlong,
		on_eof };
	const uint8_t  *nul = size > 0 ? memchr(data, '\0', size) : NULL;
	struct expected exp = { "", 0, false };
	struct lineio  *io;
	int		fds[2];

	if (nul == NULL)
		return (0);
	if (base == NULL)
		base = event_base_new();
	memset(&run, 0, sizeof(run));
	exp.text = (const char *)nul + 1;
	exp.len = (size_t)(data + size - nul) - 1;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	io = lineio_new(base, fds[1], fds[1], &handler, &exp);
	CHECK(io != NULL);
	feed(fds[0], data, exp.text, exp.len);
	close(fds[0]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
	CHECK(exp.eof);
	nexthops_clear(&hops);
	lineio_free(io);
	close(fds[1]);
	return (0);
}
