/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "log.h"

#define LOG_LINE 1024

static const char *progname = "smtpusers";
static bool	   use_stderr = true;
static bool	   use_syslog;

static bool
is_dev_null(int fd)
{
	struct stat st, null;

	if (fstat(fd, &st) == -1)
		return (true);
	if (!S_ISCHR(st.st_mode) || stat("/dev/null", &null) == -1)
		return (false);
	return (st.st_rdev == null.st_rdev);
}

void
log_init(const char *name)
{
	progname = name;
	use_stderr = !is_dev_null(STDERR_FILENO);
	use_syslog = false;
	if (!use_stderr)
		log_starting();
}

void
log_starting(void)
{
	if (!use_syslog)
		openlog(progname, LOG_PID | LOG_NDELAY, LOG_MAIL);
	use_syslog = true;
}

void
log_started(void)
{
	if (!use_stderr)
		return;
	closelog();
	use_syslog = false;
}

/* Writes text with everything but printable ASCII escaped. */
static size_t
escape(char *dst, size_t dsize, const char *src)
{
	static const char hex[] = "0123456789abcdef";
	size_t		  n = 0;
	unsigned char	  c;

	for (; (c = (unsigned char)*src) != '\0' && n + 5 < dsize; src++) {
		if (c >= 0x20 && c < 0x7f) {
			dst[n++] = (char)c;
			continue;
		}
		dst[n++] = '\\';
		dst[n++] = 'x';
		dst[n++] = hex[c >> 4];
		dst[n++] = hex[c & 0xf];
	}
	dst[n] = '\0';
	return (n);
}

/*
 * Standard error may be shared with smtpd, so its flags are not ours to
 * change: each write is made non-blocking by itself.
 */
static void
write_stderr(const char *line, size_t len)
{
	struct pollfd pfd = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (send(STDERR_FILENO, line, len, MSG_DONTWAIT | MSG_NOSIGNAL) != -1 ||
	    errno != ENOTSOCK)
		return;
	if (poll(&pfd, 1, 0) != 1 || !(pfd.revents & POLLOUT))
		return;
	if (write(STDERR_FILENO, line, len) == -1)
		return;
}

/* What stands in front is an id, or "": then the name, which syslog(3) adds. */
static void
emit(int priority, const char *id, const char *fmt, va_list ap)
{
	char   raw[LOG_LINE], line[LOG_LINE];
	size_t n, head = 0;

	if (vsnprintf(raw, sizeof(raw), fmt, ap) < 0)
		return;
	if (id[0] == '\0')
		head = (size_t)snprintf(line, sizeof(line), "%s: ", progname);
	n = head + (size_t)snprintf(line + head, sizeof(line) - head, "%s", id);
	n += escape(line + n, sizeof(line) - n - 1, raw);
	if (use_syslog)
		syslog(priority, "%s", line + head);
	if (!use_stderr)
		return;
	line[n++] = '\n';
	write_stderr(line, n);
}

void
log_err(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(LOG_ERR, "", fmt, ap);
	va_end(ap);
}

void
log_fatal(const char *what)
{
	log_err("cannot start: %s: %s", what, strerror(errno));
	exit(1);
}

void
log_warnx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(LOG_WARNING, "", fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(LOG_INFO, "", fmt, ap);
	va_end(ap);
}

void
log_at(int priority, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(priority, "", fmt, ap);
	va_end(ap);
}

void
log_session(uint64_t id, const char *fmt, ...)
{
	char	head[32];
	va_list ap;

	snprintf(head, sizeof(head), "%016" PRIx64 " ", id);
	va_start(ap, fmt);
	emit(LOG_INFO, head, fmt, ap);
	va_end(ap);
}
