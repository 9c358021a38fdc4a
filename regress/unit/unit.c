/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/stat.h>

#include <errno.h>
#include <sanitizer/common_interface_defs.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

int64_t
unit_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (ts.tv_sec * 1000LL + ts.tv_nsec / 1000000);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

struct event *
unit_tick(struct event_base *base)
{
	struct event  *ev = event_new(base, -1, EV_PERSIST, on_tick, NULL);
	struct timeval tv = { 0, 10000 };

	assert_non_null(ev);
	event_add(ev, &tv);
	return (ev);
}

int
unit_divert(int fd, int to)
{
	int saved = dup(fd);

	if (saved == -1 || dup2(to, fd) == -1)
		abort();
	return (saved);
}

void
unit_restore(int fd, int saved)
{
	if (dup2(saved, fd) == -1)
		abort();
	close(saved);
}

FILE *
unit_tmpfile(void)
{
	FILE *fp = tmpfile();

	if (fp == NULL)
		abort();
	return (fp);
}

/* The sanitizers keep the true standard error to report to. */
void
unit_capture(struct unit_capture *c)
{
	fflush(stderr);
	c->fp = unit_tmpfile();
	c->saved = unit_divert(STDERR_FILENO, fileno(c->fp));
	__sanitizer_set_report_fd((void *)(intptr_t)c->saved);
}

const char *
unit_captured(struct unit_capture *c)
{
	size_t n;

	if (c->fp == NULL)
		return (c->text);
	fflush(stderr);
	__sanitizer_set_report_fd((void *)(intptr_t)STDERR_FILENO);
	unit_restore(STDERR_FILENO, c->saved);
	assert_int_equal(fseek(c->fp, 0, SEEK_SET), 0);
	n = fread(c->text, 1, sizeof(c->text) - 1, c->fp);
	c->text[n] = '\0';
	fclose(c->fp);
	c->fp = NULL;
	return (c->text);
}

bool
unit_logged(struct unit_capture *c, const char *part)
{
	ssize_t n;

	fflush(stderr);
	n = pread(fileno(c->fp), c->text, sizeof(c->text) - 1, 0);
	c->text[n > 0 ? n : 0] = '\0';
	return (strstr(c->text, part) != NULL);
}

void
unit_write_file(char path[UNIT_PATH], const char *text, size_t len)
{
	int fd;

	snprintf(path, UNIT_PATH, "/tmp/unit.XXXXXXXXXX");
	fd = mkstemp(path);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
}

void
unit_make_dir(char path[UNIT_PATH])
{
	snprintf(path, UNIT_PATH, "/tmp/unit.XXXXXXXXXX");
	assert_non_null(mkdtemp(path));
}

pid_t
unit_child(pid_t pid)
{
	char  path[64], text[64];
	FILE *fp;
	pid_t child = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid,
	    (int)pid);
	if ((fp = fopen(path, "r")) == NULL)
		return (0);
	if (fgets(text, sizeof(text), fp) != NULL)
		child = (pid_t)strtol(text, NULL, 10);
	fclose(fp);
	return (child);
}

void
assert_contains(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", text, part);
}

void
assert_lacks(const char *text, const char *part)
{
	if (strstr(text, part) != NULL)
		fail_msg("\"%s\" has \"%s\"", text, part);
}
