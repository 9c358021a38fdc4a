/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Logging never blocks: a line that the reader of standard error has no room
 * for is dropped.  Bytes that are not printable ASCII are written as \xHH, a
 * line is cut at 1023 bytes.  No caller may pass a password.
 */

/*
 * Chooses where lines go: to standard error, or, where that is /dev/null (as
 * smtpd leaves it for tables once it is a daemon), to syslog(3), facility
 * mail.  name must stay valid.  Call once, before anything is logged.
 */
void log_init(const char *name);

/*
 * From log_starting() to log_started() lines go to syslog(3) in any case: what
 * a filter writes to standard error before it is registered smtpd reads only
 * in the foreground.
 */
void log_starting(void);
void log_started(void);

/*
 * Log one line about the program itself.  The priority is syslog(3)'s: LOG_ERR
 * where the program cannot do its work or data is lost, LOG_WARNING where
 * somebody should look, LOG_INFO otherwise.
 */
void log_err(const char *, ...) __attribute__((__format__(printf, 1, 2)));
void log_warnx(const char *, ...) __attribute__((__format__(printf, 1, 2)));
void log_info(const char *, ...) __attribute__((__format__(printf, 1, 2)));
void log_at(int priority, const char *, ...)
    __attribute__((__format__(printf, 2, 3)));

/* The same about one SMTP session, LOG_INFO, its id in front. */
void log_session(uint64_t, const char *, ...)
    __attribute__((__format__(printf, 2, 3)));

/* Logs that the program cannot start, what it lacks and errno; exits with 1. */
void log_fatal(const char *) __attribute__((__noreturn__));

/*
 * Logs once for each place in the source and each process.  For what a hostile
 * peer could repeat without end; not for outages, which begin and end.
 */
#define log_once(...)                           \
	do {                                    \
		static bool logged_;            \
		if (!logged_) {                 \
			logged_ = true;         \
			log_warnx(__VA_ARGS__); \
		}                               \
	} while (0)

#endif /* LOG_H */
