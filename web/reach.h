/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef REACH_H
#define REACH_H

#include <stdbool.h>

/*
 * Where Redis may be.  report.cgi itself, reach_near.c, asks one server at a
 * socket or an address, without TLS: what it does not need to know makes it
 * start in a third of the time.  For everything else it becomes
 * report-full.cgi, reach_all.c, which is beside it.
 */
struct conf;

/*
 * True when this program can ask the Redis of the configuration.  Otherwise it
 * becomes the one that can, and returns only when that fails: false, after
 * having logged why.
 */
bool reach_redis(const struct conf *);

/* Gives up what the rest does not take; false when that cannot be had. */
bool reach_confine(void);

#endif /* REACH_H */
