/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef NEXTHOP_H
#define NEXTHOP_H

#include <stddef.h>
#include <stdint.h>

/*
 * Reads from smtpd's smtp-out reports what next hops reply to its messages.
 * There is no tx-rcpt for the last recipient of a message, and a tx-rollback
 * for each refused one, so it is the dialogue itself that is read.
 *
 * A reply to MAIL FROM cannot be counted, since smtpd names the message only
 * after that was accepted; nor can a delivery without a reply, which smtpd
 * tries again.
 */

struct nexthop;

/* Most sessions at a time; further ones are not read. */
#define NEXTHOP_MAX 10000

/*
 * Gets how many recipients of a message the next hop has accepted, and how many
 * it has refused by a 5xx reply.  Called once for each transaction with any.
 */
typedef void (*nexthop_cb)(void *, uint32_t msgid, size_t accepted,
    size_t refused);

/* Set to zeros, but for the callback and its argument. */
struct nexthops {
	struct nexthop *byid;
	nexthop_cb	cb;
	void	       *arg;
};

/* smtpd has connected.  Other calls about a session not opened are ignored. */
void nexthop_open(struct nexthops *, uint64_t id);

/* The connection has ended; calls back with the recipients so far. */
void nexthop_close(struct nexthops *, uint64_t id);

/* The next hop has accepted MAIL FROM of this message. */
void nexthop_begin(struct nexthops *, uint64_t id, uint32_t msgid);

/* A line of smtpd's, and a line of the next hop's. */
void nexthop_asked(struct nexthops *, uint64_t id, const char *);
void nexthop_answered(struct nexthops *, uint64_t id, const char *);

/* Forgets all sessions, without a callback. */
void nexthops_clear(struct nexthops *);

#endif /* NEXTHOP_H */
