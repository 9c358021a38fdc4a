/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef NEXTHOP_H
#define NEXTHOP_H

#include <stddef.h>
#include <stdint.h>

/*
 * What next hops say to the messages that smtpd relays, as its smtp-out reports
 * tell.  These do not tell of each recipient that was refused: of the last one
 * of a message there is no tx-rcpt, and tx-rollback comes with each of them.  So
 * the dialogue itself is read.
 *
 * A reply to MAIL FROM cannot be counted: smtpd names the message only when that
 * was accepted.  Nor can what ends without a reply: smtpd tries it again.
 */

struct nexthop;

/* Sessions known at once at most; further ones are not read. */
#define NEXTHOP_MAX 10000

/*
 * Takes what has become of recipients of a message, for good: so many were
 * accepted by the next hop, and so many refused by a 5xx reply.  Called once for
 * each transaction in which there was any.
 */
typedef void (*nexthop_cb)(void *, uint32_t msgid, size_t accepted,
    size_t refused);

/* Set to zeros, but for the callback and its argument. */
struct nexthops {
	struct nexthop *byid;
	nexthop_cb	cb;
	void	       *arg;
};

/* smtpd has connected: what comes of a session not opened is ignored. */
void nexthop_open(struct nexthops *, uint64_t id);

/* The connection is at its end; what was refused so far is told. */
void nexthop_close(struct nexthops *, uint64_t id);

/* MAIL FROM was accepted, of a message of smtpd's queue. */
void nexthop_begin(struct nexthops *, uint64_t id, uint32_t msgid);

/* A line that smtpd has sent, and one that the next hop has. */
void nexthop_asked(struct nexthops *, uint64_t id, const char *);
void nexthop_answered(struct nexthops *, uint64_t id, const char *);

/* Forgets all sessions, and tells nothing of them. */
void nexthops_clear(struct nexthops *);

#endif /* NEXTHOP_H */
