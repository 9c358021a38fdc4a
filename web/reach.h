/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef REACH_H
#define REACH_H

#include <stdbool.h>

/*
 * How to reach Redis.  report.cgi (reach_near.c) asks one server at a socket or
 * an address, without TLS, and so starts in a third of the time.  For
 * everything else it becomes report-full.cgi (reach_all.c), in the same
 * directory.
 */
struct conf;

/*
 * True when this program can ask the Redis of the configuration.  Otherwise it
 * becomes the one that can, and returns only when that fails: false, after
 * having logged why.
 */
bool reach_redis(const struct conf *);

/* Gives up what is not needed any more; false if that is impossible. */
bool reach_confine(void);

#endif /* REACH_H */
