/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "log.h"
#include "nexthop.h"

/* What the next reply is to. */
enum asked {
	ASKED_ELSE,
	ASKED_RCPT,
	ASKED_DATA,
	ASKED_END /* of data */
};

struct nexthop {
	UT_hash_handle hh;
	uint64_t       id;
	enum asked     asked;
	bool	       lmtp; /* each recipient has a reply at the end of data */
	uint32_t       msgid; /* 0: no message */
	size_t	       open;  /* recipients that may yet be refused */
	size_t	       accepted;
	size_t	       refused;
};

static struct nexthop *
find_hop(const struct nexthops *all, uint64_t id)
{
	struct nexthop *hop;

	HASH_FIND(hh, all->byid, &id, sizeof(id), hop);
	return (hop);
}

void
nexthop_open(struct nexthops *all, uint64_t id)
{
	struct nexthop *hop;

	/* smtpd tries the next host of a domain in the same session. */
	nexthop_close(all, id);
	if (HASH_COUNT(all->byid) >= NEXTHOP_MAX) {
		log_once("too many sessions with next hops");
		return;
	}
	if ((hop = calloc(1, sizeof(*hop))) == NULL)
		return;
	hop->id = id;
	HASH_ADD(hh, all->byid, id, sizeof(hop->id), hop);
	if (hop->hh.tbl == NULL)
		free(hop);
}

static void
end_message(struct nexthops *all, struct nexthop *hop)
{
	if (hop->accepted + hop->refused > 0)
		all->cb(all->arg, hop->msgid, hop->accepted, hop->refused);
	hop->msgid = 0;
	hop->open = hop->accepted = hop->refused = 0;
	hop->asked = ASKED_ELSE;
}

static void
drop_hop(struct nexthops *all, struct nexthop *hop)
{
	/* The analyser loses track of what HASH_DEL() makes the head. */
	HASH_DEL(all->byid, hop); /* NOLINT(clang-analyzer-*) */
	free(hop);
}

void
nexthop_close(struct nexthops *all, uint64_t id)
{
	struct nexthop *hop = find_hop(all, id);

	if (hop == NULL)
		return;
	end_message(all, hop);
	drop_hop(all, hop);
}

void
nexthop_begin(struct nexthops *all, uint64_t id, uint32_t msgid)
{
	struct nexthop *hop = find_hop(all, id);

	if (hop == NULL)
		return;
	end_message(all, hop);
	hop->msgid = msgid;
}

static bool
begins(const char *line, const char *with)
{
	return (strncmp(line, with, strlen(with)) == 0);
}

static enum asked
asked_by(const char *line)
{
	if (begins(line, "RCPT TO:"))
		return (ASKED_RCPT);
	if (strcmp(line, "DATA") == 0)
		return (ASKED_DATA);
	return (strcmp(line, ".") == 0 ? ASKED_END : ASKED_ELSE);
}

void
nexthop_asked(struct nexthops *all, uint64_t id, const char *line)
{
	struct nexthop *hop = find_hop(all, id);

	if (hop == NULL)
		return;
	if (begins(line, "LHLO "))
		hop->lmtp = true;
	if (hop->msgid == 0)
		return;
	hop->asked = asked_by(line);
	if (hop->asked == ASKED_ELSE)
		end_message(all, hop);
}

/* So many recipients have a reply that is the last one. */
static void
settle_recipients(struct nexthop *hop, char code, size_t n)
{
	if (code == '2')
		hop->accepted += n;
	else if (code == '5')
		hop->refused += n;
	hop->open -= n;
}

static void
answer_end(struct nexthops *all, struct nexthop *hop, char code)
{
	if (hop->open > 0)
		settle_recipients(hop, code, hop->lmtp ? 1 : hop->open);
	if (hop->open == 0)
		end_message(all, hop);
}

void
nexthop_answered(struct nexthops *all, uint64_t id, const char *line)
{
	struct nexthop *hop = find_hop(all, id);
	const bool	more = strlen(line) > 3 && line[3] == '-';

	if (hop == NULL || more)
		return;
	if (hop->asked == ASKED_END) {
		answer_end(all, hop, line[0]);
		return;
	}
	if (hop->asked == ASKED_RCPT) {
		hop->open++;
		if (line[0] != '2')
			settle_recipients(hop, line[0], 1);
	} else if (hop->asked == ASKED_DATA && line[0] != '2' && line[0] != '3')
		settle_recipients(hop, line[0], hop->open);
	hop->asked = ASKED_ELSE;
}

void
nexthops_clear(struct nexthops *all)
{
	struct nexthop *hop, *next;

	HASH_ITER(hh, all->byid, hop, next)
	drop_hop(all, hop);
}
