/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * What the kernel and memchr(3) alone cost: reads, looks for what ends a line
 * and for where its session id begins, and writes.  It lets everything pass and
 * trusts all it reads, so it is a bound and no filter.
 */

#include <err.h>
#include <string.h>
#include <unistd.h>

#define SIZE (256 * 1024)
#define DATALINE "filter-dataline|"
#define RESULT "filter-result|"
#define PROCEED "proceed\n"
#define FIELDS 5  /* in front of the session id */
#define ID_LEN 34 /* the session's and the token */

/* Exactly what filter-smtpusers asks for. */
#define HELLO                                       \
	"register|report|smtp-in|link-connect\n"    \
	"register|report|smtp-in|link-auth\n"       \
	"register|report|smtp-in|link-disconnect\n" \
	"register|report|smtp-in|tx-begin\n"        \
	"register|report|smtp-in|tx-rcpt\n"         \
	"register|report|smtp-in|tx-commit\n"       \
	"register|report|smtp-in|tx-rollback\n"     \
	"register|filter|smtp-in|auth\n"            \
	"register|filter|smtp-in|mail-from\n"       \
	"register|filter|smtp-in|rcpt-to\n"         \
	"register|filter|smtp-in|data-line\n"       \
	"register|filter|smtp-in|commit\n"          \
	"register|ready\n"

static char   in[SIZE];
static char   out[2 * SIZE];
static size_t out_len;

static void
put(const char *data, size_t len)
{
	memcpy(out + out_len, data, len);
	out_len += len;
}

static void
flush(void)
{
	size_t	done;
	ssize_t n;

	for (done = 0; done < out_len; done += (size_t)n) {
		n = write(STDOUT_FILENO, out + done, out_len - done);
		if (n == -1)
			err(1, "write");
	}
	out_len = 0;
}

static void
answer(const char *line, const char *end)
{
	const char *p = line, *event = line;
	int	    i;

	if (strncmp(line, "filter|", 7) != 0) {
		if (strncmp(line, "config|ready\n", 13) == 0)
			put(HELLO, sizeof(HELLO) - 1);
		return;
	}
	for (i = 0; i < FIELDS; i++) {
		event = p;
		p = memchr(p, '|', (size_t)(end - p));
		if (p == NULL)
			return;
		p++;
	}
	if (strncmp(event, "data-line|", 10) == 0) {
		put(DATALINE, sizeof(DATALINE) - 1);
		put(p, (size_t)(end - p));
		return;
	}
	put(RESULT, sizeof(RESULT) - 1);
	put(p, ID_LEN);
	put(PROCEED, sizeof(PROCEED) - 1);
}

int
main(void)
{
	size_t	len = 0;
	ssize_t n;
	char   *line, *nl;

	while ((n = read(STDIN_FILENO, in + len, SIZE - len)) > 0) {
		len += (size_t)n;
		line = in;
		while ((nl = memchr(line, '\n', len)) != NULL) {
			answer(line, nl + 1);
			len -= (size_t)(nl + 1 - line);
			line = nl + 1;
		}
		memmove(in, line, len);
		flush();
	}
	return (0);
}
