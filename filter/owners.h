/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef OWNERS_H
#define OWNERS_H

#include <stddef.h>
#include <stdint.h>

#include "alarm.h"

struct owners;

/*
 * Remembers which user sent a message, since smtpd's reports about relaying
 * have only the message's id.  This is in memory alone: after a restart of
 * smtpd, the users of messages in its queue are not known.
 */

/*
 * Most bytes, enough for about 60000 messages.  Beyond that the oldest message
 * of the user who has most is forgotten, so that no user pushes out those of
 * others.
 */
#define OWNERS_MAX (8 << 20)

/* NULL when out of memory. */
struct owners *owners_new(void);
void	       owners_free(struct owners *);

/*
 * Remembers the user of a message with so many recipients, and the limit of the
 * alarm that counts refused ones.  Does nothing when out of memory.
 */
void owners_add(struct owners *, uint32_t msgid, const char *user,
    size_t recipients, const struct alarm_limit *);

/*
 * Notes that so many recipients of a message were accepted or refused; forgets
 * the message after the last one.  Returns its user, or NULL if not known, and
 * the limit.  The name is valid until the next call of this or owners_add().
 */
const char *owners_settle(struct owners *, uint32_t msgid, size_t recipients,
    struct alarm_limit *);

#endif /* OWNERS_H */
