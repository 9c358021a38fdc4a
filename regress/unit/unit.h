/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef UNIT_H
#define UNIT_H

/* cmocka.h needs these in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>

/* Milliseconds on the monotonic clock. */
int64_t unit_now(void);

/* How long a condition is waited for before the test fails. */
#define UNIT_PATIENCE 60000

/* Runs the loop until the condition holds. */
#define unit_run_until(base, cond)                               \
	do {                                                     \
		struct event *tick_ = unit_tick(base);           \
		int64_t	      end_ = unit_now() + UNIT_PATIENCE; \
                                                                 \
		while (!(cond) && unit_now() < end_)             \
			event_base_loop(base, EVLOOP_ONCE);      \
		event_free(tick_);                               \
		if (!(cond))                                     \
			fail_msg("not in time: %s", #cond);      \
	} while (0)

/* Has the loop come up for air. */
struct event *unit_tick(struct event_base *);

/* Has one descriptor lead where another does; returns where it led before. */
int unit_divert(int fd, int to);

/* Puts it back. */
void unit_restore(int fd, int saved);

/* A file that has no name. */
FILE *unit_tmpfile(void);

/* What the code under test writes to standard error, until it is asked for. */
struct unit_capture {
	int   saved;
	FILE *fp; /* NULL: it was */
	char  text[16384];
};

void	    unit_capture(struct unit_capture *);
const char *unit_captured(struct unit_capture *);

/* Whether it has written this by now. */
bool unit_logged(struct unit_capture *, const char *part);

/* Writes a file of its own under /tmp, whose path is put into the buffer. */
#define UNIT_PATH 64
void unit_write_file(char[UNIT_PATH], const char *text, size_t len);

/* Makes a directory of its own under /tmp. */
void unit_make_dir(char[UNIT_PATH]);

/* The one child of a process, or one of them; 0: none yet. */
pid_t unit_child(pid_t);

/* Fail with both texts. */
void assert_contains(const char *text, const char *part);
void assert_lacks(const char *text, const char *part);

#endif /* UNIT_H */
