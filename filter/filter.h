/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef FILTER_H
#define FILTER_H

#include <sys/queue.h>

#include <stdbool.h>

#include "alarms.h"
#include "failures.h"
#include "filterline.h"
#include "nexthop.h"
#include "quota.h"
#include "report.h"
#include "session.h"

struct conf;
struct event_base;
struct functions;
struct late_login;
struct lineio;
struct owners;
struct passwd_pool;
struct reload;
struct servers;
struct spf;
struct spfworkers;
struct state;
struct totals;
struct users;
struct writequeue;

/* The parts of the filter, for functions that need more than one of them. */
struct filter {
	struct conf	     *conf;
	struct event_base    *base;
	struct lineio	     *io;
	struct servers	     *servers;
	struct users	     *users;
	struct functions     *functions;
	struct quotas	      quotas;
	struct alarms	      alarms;
	struct failures	      failures;
	struct passwd_pool   *pool;
	struct writequeue    *writequeue;
	struct reports	      reports;
	struct totals	     *totals;
	struct reload	     *reload;
	struct state	     *state;
	struct spfworkers    *workers; /* NULL: not started */
	struct spf	     *spf;     /* likewise */
	struct sessions	      sessions;
	struct session	     *last; /* that a line of a message was of */
	struct filterline_run run;  /* of those lines */
	struct nexthops	      nexthops;
	struct owners	     *owners; /* NULL: nothing is told of next hops */
	bool		      relays; /* an action of smtpd's has the filter */
	bool		      registered;
	LIST_HEAD(, late_login) late_logins;
};

#endif /* FILTER_H */
