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
 * Whose messages are on their way: what smtpd says of a message that it relays
 * has the message's id, and no user.  It is in memory alone: who starts smtpd
 * again forgets whose the messages in its queue are.
 */

/*
 * Bytes kept at most: of about 60000 messages.  Above it a message of a user who
 * has most is forgotten, the oldest one, so that nobody pushes out those of
 * others.
 */
#define OWNERS_MAX (8 << 20)

/* NULL when out of memory. */
struct owners *owners_new(void);
void	       owners_free(struct owners *);

/*
 * Remembers the user of a message with so many recipients, and the limit of the
 * alarm that counts those refused.  When memory is short, it is not.
 */
void owners_add(struct owners *, uint32_t msgid, const char *user,
    size_t recipients, const struct alarm_limit *);

/*
 * What has become of so many recipients of a message is known: it is forgotten
 * once that is known of all.  Returns the user, or NULL: nobody's; and the limit.
 * The name is there until owners_add() or this is called again.
 */
const char *owners_settle(struct owners *, uint32_t msgid, size_t recipients,
    struct alarm_limit *);

#endif /* OWNERS_H */
