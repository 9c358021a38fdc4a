/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef STATE_H
#define STATE_H

#include <stdint.h>

struct conf;
struct event_base;
struct servers;
struct state;

/*
 * Shows in Redis what this program is doing.  Every STATE_EVERY seconds the
 * tally is written to relay:{HOST}:PROGRAM, a hash that expires after STATE_TTL
 * seconds, and the time to relays, a sorted set of PROGRAM:HOST: so a program
 * that has died is noticed.  While Redis is unreachable nothing is written or
 * kept.
 */
#define STATE_EVERY 10
#define STATE_TTL 35

/* Forgotten when not heard of for so long. */
#define STATE_DAYS 30

enum state_program {
	STATE_FILTER,
	STATE_TABLE
};

/* Begins; nothing is written before state_use().  NULL when out of memory. */
struct state *state_new(struct event_base *, enum state_program);

/*
 * Writes to these servers from now on, as the configuration says.  Both must
 * outlive the state, or the next call of this.
 */
void state_use(struct state *, struct servers *, const struct conf *);

/* Most fields that state_add() brings, and bytes of a name, with its NUL. */
#define STATE_MORE 512
#define STATE_FIELD 64

/* Takes a field to be written: its name, which is copied, and its value. */
typedef void (*state_field_cb)(void *, const char *, uint64_t);

/*
 * Sets who knows more fields.  Whenever the state is written, each() is called
 * with the last argument of this, and calls the callback for each of its
 * fields.  Their names have a colon, which no name of a tally has.
 */
void state_add(struct state *,
    void (*each)(const void *, state_field_cb, void *), const void *);

/* Writes no more, and frees it; what is in Redis expires. */
void state_free(struct state *);

#endif /* STATE_H */
