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
 * The Sentinels of the configuration, and which server is the primary for
 * them: the one that more than half of all that are configured name.  Those
 * that do not answer, or do not know the name, name nobody: so a few of them
 * that are cut off from the others cannot name one of their own.  What they
 * have agreed on stands until they agree on another.
 *
 * They are asked every second, and at once when one of them says that the
 * primary has changed (+switch-master).
 */

/*
 * Starts to ask.  The callback comes each time that they agree on another
 * primary than before; the place is good for the call alone.  NULL when
 * out of memory.
 */
struct sentinels *sentinels_new(const struct redisconn_common *,
    void (*)(void *, const struct place *), void *);

void sentinels_free(struct sentinels *);

/* Whether more than half of them have just named who was agreed on. */
bool sentinels_agree(const struct sentinels *);

/* Has them asked soon, as the primary may be another. */
void sentinels_ask_soon(struct sentinels *);

/*
 * Reads the reply to SENTINEL GET-MASTER-ADDR-BY-NAME, two strings, into the
 * host and the port of a place.  False when it is no such reply: what the place
 * says then is not to be used.
 */
bool sentinels_read(struct place *, const struct redisReply *);

#endif /* SENTINELS_H */
