/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Logging never blocks: if the reader of standard error is too slow, lines are
 * dropped.  Bytes that are not printable ASCII are written as \xHH.  A line is
 * cut at 1023 bytes.  No caller may pass a password.
 */

/*
 * Chooses where lines go: to standard error, or, where that is /dev/null (as
 * smtpd leaves it for tables once it is a daemon), to syslog(3), facility
 * mail.  name must stay valid.  Call once, before anything is logged.
 */
void log_init(const char *name);

/*
 * Between these two calls lines also go to syslog(3), since smtpd reads what a
 * filter writes before it is registered only in the foreground.
 */
void log_starting(void);
void log_started(void);

/*
 * Log one line about the program itself, with a priority of syslog(3): LOG_ERR
 * if the program cannot do its work or data is lost, LOG_WARNING if somebody
 * should look, LOG_INFO otherwise.
 */
void log_err(const char *, ...) __attribute__((__format__(printf, 1, 2)));
void log_warnx(const char *, ...) __attribute__((__format__(printf, 1, 2)));
void log_info(const char *, ...) __attribute__((__format__(printf, 1, 2)));
void log_at(int priority, const char *, ...)
    __attribute__((__format__(printf, 2, 3)));

/* Logs a line about one SMTP session, LOG_INFO, with its id in front. */
void log_session(uint64_t, const char *, ...)
    __attribute__((__format__(printf, 2, 3)));

/* Logs that the program cannot start, what it lacks and errno; exits with 1. */
void log_fatal(const char *) __attribute__((__noreturn__));

/*
 * Logs once per call site and process.  For what a hostile peer could repeat
 * without end; never for outages, which begin and end.
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
