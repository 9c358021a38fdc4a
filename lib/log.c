/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "log.h"

#define LOG_LINE 1024

static const char *progname = "smtpusers";
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
	use_syslog = is_dev_null(STDERR_FILENO);
	if (use_syslog)
		openlog(name, LOG_PID | LOG_NDELAY, LOG_MAIL);
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

static void
emit(int priority, const char *prefix, const char *fmt, va_list ap)
{
	char   raw[LOG_LINE], line[LOG_LINE];
	size_t n;

	if (vsnprintf(raw, sizeof(raw), fmt, ap) < 0)
		return;
	n = (size_t)snprintf(line, sizeof(line), "%s", prefix);
	n += escape(line + n, sizeof(line) - n - 1, raw);
	if (use_syslog) {
		syslog(priority, "%s", line);
		return;
	}
	line[n++] = '\n';
	write_stderr(line, n);
}

static void
emit_own(int priority, const char *fmt, va_list ap)
{
	char prefix[64];

	prefix[0] = '\0';
	if (!use_syslog)
		snprintf(prefix, sizeof(prefix), "%s: ", progname);
	emit(priority, prefix, fmt, ap);
}

void
log_err(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit_own(LOG_ERR, fmt, ap);
	va_end(ap);
}

void
log_warnx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit_own(LOG_WARNING, fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit_own(LOG_INFO, fmt, ap);
	va_end(ap);
}

void
log_at(int priority, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit_own(priority, fmt, ap);
	va_end(ap);
}

void
log_session(uint64_t id, const char *fmt, ...)
{
	char	prefix[32];
	va_list ap;

	snprintf(prefix, sizeof(prefix), "%016" PRIx64 " ", id);
	va_start(ap, fmt);
	emit(LOG_INFO, prefix, fmt, ap);
	va_end(ap);
}
