/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef SENTINELS_H
#define SENTINELS_H

#include <stdbool.h>

struct place;
struct redisReply;
struct redisconn_common;
struct sentinels;

/*
 * The Sentinels of the configuration, and the primary: the server that more
 * than half of all configured Sentinels name.  So a few Sentinels that are cut
 * off from the others cannot name one of their own.  The primary stays until
 * they agree on another.
 *
 * They are asked every second, and at once when one of them reports a new
 * primary (+switch-master).
 */

/*
 * Starts to ask.  The callback is called each time they agree on a new primary;
 * the place is valid during the call.  NULL when out of memory.
 */
struct sentinels *sentinels_new(const struct redisconn_common *,
    void (*)(void *, const struct place *), void *);

/* Ends the connections; the callback is not called any more. */
void sentinels_free(struct sentinels *);

/* Whether more than half of them named the present primary when last asked. */
bool sentinels_agree(const struct sentinels *);

/* Asks them again soon, since the primary may have changed. */
void sentinels_ask_soon(struct sentinels *);

/*
 * Reads the reply to SENTINEL GET-MASTER-ADDR-BY-NAME, two strings, into the
 * host and the port of a place.  False if it is no such reply; the place is
 * then undefined.
 */
bool sentinels_read(struct place *, const struct redisReply *);

#endif /* SENTINELS_H */
