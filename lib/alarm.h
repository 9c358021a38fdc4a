/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef ALARM_H
#define ALARM_H

#include <stdbool.h>
#include <stdint.h>

#include "bounds.h"

/*
 * Alarms: limits on what a user does in a window of time, and what happens to a
 * user who exceeds one.  scripts/functions/11-alarms.lua counts.
 */

enum alarm_kind {
	ALARM_SOURCES,	  /* different sources */
	ALARM_SENDERS,	  /* different domains in From */
	ALARM_RECIPIENTS, /* different recipients */
	ALARM_VOLUME,	  /* recipients, each time that there is one */
	ALARM_BLOCKED,	  /* messages that the rules have blocked */
	ALARM_FAILURES,	  /* recipients that next hops have refused */
	ALARM_KINDS
};

enum alarm_action {
	ALARM_OFF, /* there is no alarm of the kind */
	ALARM_NOTICE,
	ALARM_SANDBOX,
	ALARM_BLOCK
};

/* More than count in period seconds sets the alarm off. */
struct alarm_limit {
	int64_t count; /* or LIMIT_UNSET, LIMIT_NONE */
	int64_t period;
};

struct alarm_limits {
	struct alarm_limit of[ALARM_KINDS];
};

/* What the configuration says of one kind. */
struct alarm {
	enum alarm_action action;
	int64_t		  lasts; /* seconds; 0: until it is ended */
};

/* The words of the two enums, in their order, with a NULL at the end. */
extern const char *const alarm_words[];
extern const char *const alarm_actions[];

/*
 * Reads limits that a user or an account has of its own, KIND=COUNT/PERIOD or
 * KIND=off, separated by spaces, each kind once.  Other kinds become
 * LIMIT_UNSET.  False if the text is invalid.
 */
bool alarm_parse(const char *, struct alarm_limits *);

/* Replaces each limit that is LIMIT_UNSET by that of the others. */
void alarm_take(struct alarm_limits *, const struct alarm_limits *others);

#endif /* ALARM_H */
