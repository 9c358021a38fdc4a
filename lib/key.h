/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef KEY_H
#define KEY_H

#include <stdbool.h>
#include <time.h>

#include "netaddr.h"

/*
 * Every key that the programs use in Redis, smtpusers-schema(7).  The braces
 * keep what belongs to one record in one slot of a cluster.  A prefix, a name
 * and an id are of bounded length, so each key fits.
 */

#define KEY_TEXT 256

/*
 * Each writes a key into the buffer and returns it.  prefix is that of the
 * configuration, name is folded.
 */

/* user:{NAME}, or with a part: user:{NAME}:PART. */
const char *key_user(char[KEY_TEXT], const char *prefix, const char *name,
    const char *part);

/* account:{NAME}, or with a part: account:{NAME}:PART. */
const char *key_account(char[KEY_TEXT], const char *prefix, const char *name,
    const char *part);

/*
 * Reads one of these two, with or without a part: writes the name, which is
 * folded, and returns whether it is an account's.
 */
bool key_read(const char *key, char name[KEY_TEXT]);

/* ip:{ADDR} */
const char *
key_address(char[KEY_TEXT], const char *prefix, const struct netaddr *);

/* failures:{ADDR}, or with a part: failures:{ADDR}:PART. */
const char *key_failures(char[KEY_TEXT], const char *prefix,
    const struct netaddr *, const char		    *part);

/* events */
const char *key_events(char[KEY_TEXT], const char *prefix);

/* stats:{HOUR}, of the hour of that time in UTC, such as 2026-11-21T08. */
const char *key_stats(char[KEY_TEXT], const char *prefix, time_t);

/* report:{ID} */
const char *key_report(char[KEY_TEXT], const char *prefix, const char *id);

/* relay:{HOST}:PROGRAM, where host is a relay_name; and relays. */
const char *key_relay(char[KEY_TEXT], const char *prefix, const char *host,
    const char *program);
const char *key_relays(char[KEY_TEXT], const char *prefix);

/*
 * KIND:{NAME} or KIND:{NAME}:PART, as those above that have braces: to try what
 * Redis allows with a name that there cannot be.
 */
const char *key_of_kind(char[KEY_TEXT], const char *prefix, const char *kind,
    const char *name, const char *part);

#endif /* KEY_H */
