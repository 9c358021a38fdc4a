/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/resource.h>
#include <sys/types.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "self.h"

#define EXECUTABLE "/proc/self/exe"

int
self_open(void)
{
	return (open(EXECUTABLE, O_RDONLY | O_CLOEXEC));
}

bool
self_beside(char *path, size_t size, const char *name)
{
	ssize_t len = readlink(EXECUTABLE, path, size);
	char   *slash;
	size_t	room;

	if (len <= 0 || (size_t)len == size)
		return (false);
	path[len] = '\0';
	if ((slash = strrchr(path, '/')) == NULL)
		return (false);
	room = size - (size_t)(slash + 1 - path);
	return ((size_t)snprintf(slash + 1, room, "%s", name) < room);
}

bool
self_thread_nice(int nice)
{
	return (setpriority(PRIO_PROCESS, (id_t)gettid(), nice) == 0);
}
