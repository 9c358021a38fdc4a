/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/queue.h>
#include <sys/types.h>

#include <bsd/string.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "conf.h"
#include "functions.h"
#include "id.h"
#include "key.h"
#include "log.h"
#include "monotonic.h"
#include "servers.h"
#include "tally.h"
#include "totals.h"
#include "user.h"

#define HOUR_SECONDS 3600
#define PAUSE_SECONDS 1	 /* between two batches */
#define TELL_PAUSE 60	 /* between two words about what is missing */
#define BATCH_FIELDS 100 /* of a batch at most */
#define BATCH_NAMES 200	 /* which Redis is busy with for a millisecond */
#define NAME_WORDS 6	 /* of a user or account in a batch */
#define NUMBER_TEXT 21	 /* of 64 bits, with its NUL */
#define NCOUNTS (TOTALS_EVENTS * TOTALS_RESULTS * REASONS)

/* FCALL, function, number of keys, key; then who, which and how many. */
#define BATCH_HEAD (FUNCTIONS_KEY + 1 + 3)
#define BATCH_WORDS (BATCH_HEAD + 2 * BATCH_FIELDS + NAME_WORDS * BATCH_NAMES)
#define BATCH_TEXT                                                       \
	(2 * NUMBER_TEXT + BATCH_FIELDS * (TOTALS_FIELD + NUMBER_TEXT) + \
	    BATCH_NAMES *                                                \
		(USER_NAME_MAX + 1 + (NAME_WORDS - 2) * NUMBER_TEXT))

/* By event, result and reason. */
struct counts {
	uint64_t n[NCOUNTS];
};

enum kind {
	KIND_USER,
	KIND_ACCOUNT
};

static const char *const kinds[] = { "user", "account" };

struct whose {
	enum kind kind;
	char	  name[USER_NAME_MAX + 1]; /* zeros behind it: it is hashed */
};

struct sum {
	UT_hash_handle	    hh;
	struct whose	    whose;
	struct totals_share share;
};

/* A call that Redis has not answered yet, as it is sent again. */
struct batch {
	char	    key[KEY_TEXT];
	int	    argc;
	const char *argv[BATCH_WORDS];
	size_t	    len;
	char	    text[BATCH_TEXT];
};

struct hour {
	LIST_ENTRY(hour) entry;
	struct totals	   *totals;
	time_t		    number; /* since 1970 */
	struct counts	    counts;
	size_t		    ncounts; /* of these, not 0 */
	struct sum	   *sums;
	struct batch	   *batch; /* or NULL */
	struct servers_req *req;   /* while it is under way */
};

struct totals {
	const struct conf *conf;
	struct servers	  *servers;
	struct functions  *functions;
	struct event	  *timer;
	char		   id[ID_TEXT]; /* of this process */
	uint64_t	   nbatches;
	LIST_HEAD(, hour) hours; /* the last one first */
	size_t	      nhours;
	size_t	      nsums;   /* of all hours */
	uint64_t      missing; /* what there was no room for, not told yet */
	time_t	      told;    /* when last; 0: never */
	struct counts ever;
};

static void push(struct hour *);

static size_t
place_of(enum totals_event event, enum totals_result result, enum reason reason)
{
	return (((size_t)event * TOTALS_RESULTS + result) * REASONS + reason);
}

/* Writes EVENT:RESULT or EVENT:RESULT:REASON. */
static void
field_of(size_t place, char field[TOTALS_FIELD])
{
	static const char *const events[] = { "connection", "login", "message",
		"recipient", "bytes" };
	static const char *const results[] = { "accepted", "sandboxed",
		"trusted", "failed", "deferred", "refused" };
	const char *reason = reason_name((enum reason)(place % REASONS));

	place /= REASONS;
	snprintf(field, TOTALS_FIELD, "%s:%s%s%s",
	    events[place / TOTALS_RESULTS], results[place % TOTALS_RESULTS],
	    reason[0] != '\0' ? ":" : "", reason);
}

static void
write_later(struct totals *t)
{
	const struct timeval tv = { PAUSE_SECONDS, 0 };

	if (!event_pending(t->timer, EV_TIMEOUT, NULL))
		event_add(t->timer, &tv);
}

static void
drop_sum(struct hour *h, struct sum *sum)
{
	/* The analyser loses track of what HASH_DEL() makes the head. */
	HASH_DEL(h->sums, sum); /* NOLINT(clang-analyzer-*) */
	h->totals->nsums--;
	free(sum);
}

static void
drop_hour(struct hour *h)
{
	struct sum *sum, *next;

	HASH_ITER(hh, h->sums, sum, next)
	drop_sum(h, sum);
	if (h->req != NULL)
		servers_cancel(h->req);
	free(h->batch);
	LIST_REMOVE(h, entry);
	h->totals->nhours--;
	free(h);
}

static void
drop_oldest(struct totals *t)
{
	struct hour *h, *oldest = LIST_FIRST(&t->hours);

	LIST_FOREACH(h, &t->hours, entry)
		if (h->number < oldest->number)
			oldest = h;
	log_warnx("the totals of an hour are lost: they waited for Redis for "
		  "%d hours",
	    TOTALS_HOURS);
	drop_hour(oldest);
}

static struct hour *
add_hour(struct totals *t, time_t number)
{
	struct hour *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		return (NULL);
	if (t->nhours == TOTALS_HOURS)
		drop_oldest(t);
	h->totals = t;
	h->number = number;
	LIST_INSERT_HEAD(&t->hours, h, entry);
	t->nhours++;
	return (h);
}

/* The one that it is now; NULL when memory is short. */
static struct hour *
this_hour(struct totals *t)
{
	time_t	     number = time(NULL) / HOUR_SECONDS;
	struct hour *h;

	LIST_FOREACH(h, &t->hours, entry)
		if (h->number == number)
			return (h);
	return (add_hour(t, number));
}

/* What the state of the relay has of it, which knows no reasons. */
static void
add_to_tally(enum totals_event event, enum totals_result result, bool reason,
    uint64_t n)
{
	static const enum tally messages[TOTALS_RESULTS] = {
		[TOTALS_ACCEPTED] = TALLY_MESSAGES_ACCEPTED,
		[TOTALS_SANDBOXED] = TALLY_MESSAGES_SANDBOXED,
		[TOTALS_TRUSTED] = TALLY_MESSAGES_TRUSTED,
		[TOTALS_FAILED] = TALLY_MESSAGES_FAILED,
		[TOTALS_DEFERRED] = TALLY_MESSAGES_DEFERRED,
		[TOTALS_REFUSED] = TALLY_MESSAGES_REFUSED,
	};
	const bool refused = result == TOTALS_REFUSED ||
	    result == TOTALS_DEFERRED;

	if (event == TOTALS_MESSAGE)
		tally_add(messages[result], (int64_t)n);
	else if (event == TOTALS_LOGIN && !refused)
		tally_add(TALLY_LOGINS_ACCEPTED, (int64_t)n);
	else if (event == TOTALS_LOGIN)
		tally_add(reason ? TALLY_LOGINS_REFUSED : TALLY_LOGINS_FAILED,
		    (int64_t)n);
	else if (event == TOTALS_CONNECTION && refused)
		tally_add(TALLY_CONNECTIONS_REFUSED, (int64_t)n);
	else if (event == TOTALS_RECIPIENT && refused)
		tally_add(TALLY_RECIPIENTS_REFUSED, (int64_t)n);
}

void
totals_count(struct totals *t, enum totals_event event,
    enum totals_result result, enum reason reason, uint64_t n)
{
	size_t	     place = place_of(event, result, reason);
	struct hour *h;

	t->ever.n[place] += n;
	add_to_tally(event, result, reason != REASON_NONE, n);
	if (n == 0 || (h = this_hour(t)) == NULL)
		return;
	if (h->counts.n[place] == 0)
		h->ncounts++;
	h->counts.n[place] += n;
	write_later(t);
}

static struct sum *
new_sum(struct hour *h, const struct whose *whose)
{
	struct totals *t = h->totals;
	struct sum    *sum;

	if (t->nsums >= TOTALS_NAMES || (sum = calloc(1, sizeof(*sum))) == NULL)
		return (NULL);
	sum->whose = *whose;
	HASH_ADD(hh, h->sums, whose, sizeof(sum->whose), sum);
	if (sum->hh.tbl == NULL) {
		free(sum);
		return (NULL);
	}
	t->nsums++;
	return (sum);
}

static void
add_to_sum(struct hour *h, enum kind kind, const char *name,
    const struct totals_share *share)
{
	struct whose whose;
	struct sum  *sum;

	memset(&whose, 0, sizeof(whose));
	whose.kind = kind;
	strlcpy(whose.name, name, sizeof(whose.name));
	HASH_FIND(hh, h->sums, &whose, sizeof(whose), sum);
	if (sum == NULL && (sum = new_sum(h, &whose)) == NULL) {
		h->totals->missing++;
		return;
	}
	sum->share.messages += share->messages;
	sum->share.recipients += share->recipients;
	sum->share.bytes += share->bytes;
	sum->share.blocks += share->blocks;
}

void
totals_add(struct totals *t, const char *user, const char *account,
    const struct totals_share *share)
{
	struct hour *h = this_hour(t);

	if (h == NULL)
		return;
	add_to_sum(h, KIND_USER, user, share);
	if (account[0] != '\0')
		add_to_sum(h, KIND_ACCOUNT, account, share);
	write_later(t);
}

void
totals_each(const struct totals *t, void (*cb)(void *, const char *, uint64_t),
    void			*arg)
{
	char   field[TOTALS_FIELD];
	size_t i;

	for (i = 0; i < NCOUNTS; i++) {
		if (t->ever.n[i] == 0)
			continue;
		field_of(i, field);
		cb(arg, field, t->ever.n[i]);
	}
}

static void
add_word(struct batch *b, const char *word)
{
	char *copy = b->text + b->len;

	b->len += strlcpy(copy, word, sizeof(b->text) - b->len) + 1;
	b->argv[b->argc++] = copy;
}

static void
add_number_word(struct batch *b, uint64_t n)
{
	char text[NUMBER_TEXT];

	snprintf(text, sizeof(text), "%" PRIu64, n);
	add_word(b, text);
}

/* The counts: how many there are, and each with its field. */
static void
take_counts(struct hour *h, struct batch *b)
{
	size_t i, n = h->ncounts < BATCH_FIELDS ? h->ncounts : BATCH_FIELDS;
	char   field[TOTALS_FIELD];

	add_number_word(b, n);
	for (i = 0; n > 0; i++) {
		if (h->counts.n[i] == 0)
			continue;
		field_of(i, field);
		add_word(b, field);
		add_number_word(b, h->counts.n[i]);
		h->counts.n[i] = 0;
		h->ncounts--;
		n--;
	}
}

static void
take_sums(struct hour *h, struct batch *b)
{
	struct sum *sum, *next;
	size_t	    n = 0;

	HASH_ITER(hh, h->sums, sum, next)
	{
		if (n++ == BATCH_NAMES)
			return;
		b->argv[b->argc++] = kinds[sum->whose.kind];
		add_word(b, sum->whose.name);
		add_number_word(b, sum->share.messages);
		add_number_word(b, sum->share.recipients);
		add_number_word(b, sum->share.bytes);
		add_number_word(b, sum->share.blocks);
		drop_sum(h, sum);
	}
}

/* FCALL smtpusers_count 1 KEY, the process, the number, and the rest. */
static void
begin_batch(struct totals *t, const struct hour *h, struct batch *b)
{
	const char *key = b->key;

	key_stats(b->key, t->conf->prefix, h->number * HOUR_SECONDS);
	b->argc = functions_command("smtpusers_count", 1, 1, &key, b->argv);
	b->argv[b->argc++] = t->id;
	add_number_word(b, ++t->nbatches);
}

static bool
take_batch(struct hour *h)
{
	if ((h->batch = calloc(1, sizeof(*h->batch))) == NULL)
		return (false);
	begin_batch(h->totals, h, h->batch);
	take_counts(h, h->batch);
	take_sums(h, h->batch);
	return (true);
}

static bool
is_empty(const struct hour *h)
{
	return (h->ncounts == 0 && h->sums == NULL && h->batch == NULL);
}

/*
 * An error is logged with the connection's; the batch is sent again.  What is
 * left is written at once if it makes a whole batch.
 */
static void
on_counted(void *arg, const redisReply *reply)
{
	struct hour   *h = arg;
	struct totals *t = h->totals;

	h->req = NULL;
	if (reply == NULL ||
	    functions_lost(t->functions, h->batch->key, reply) ||
	    reply->type == REDIS_REPLY_ERROR)
		return;
	free(h->batch);
	h->batch = NULL;
	if (HASH_COUNT(h->sums) >= BATCH_NAMES)
		push(h);
	else if (is_empty(h) && h != LIST_FIRST(&t->hours))
		drop_hour(h);
}

/* Sends what waits, one batch of an hour at a time. */
static void
push(struct hour *h)
{
	if (h->req != NULL || is_empty(h) ||
	    (h->batch == NULL && !take_batch(h)))
		return;
	h->req = servers_send(h->totals->servers, h->batch->key, on_counted, h,
	    h->batch->argc, h->batch->argv);
}

static void
tell_missing(struct totals *t)
{
	if (t->missing == 0 ||
	    (t->told != 0 && monotonic_s() - t->told < TELL_PAUSE))
		return;
	log_warnx("%" PRIu64 " counts are missing in the totals of users and "
		  "accounts: too many of them wait for Redis",
	    t->missing);
	t->missing = 0;
	t->told = monotonic_s();
}

static void
on_push_time(evutil_socket_t fd, short what, void *arg)
{
	struct totals *t = arg;
	struct hour   *h, *next;

	(void)fd;
	(void)what;
	tell_missing(t);
	LIST_FOREACH_SAFE(h, &t->hours, entry, next) {
		if (is_empty(h) && h != LIST_FIRST(&t->hours)) {
			drop_hour(h);
			continue;
		}
		push(h);
		if (!is_empty(h))
			write_later(t);
	}
}

struct totals *
totals_new(struct event_base *base)
{
	struct totals *t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		return (NULL);
	if ((t->timer = evtimer_new(base, on_push_time, t)) == NULL) {
		free(t);
		return (NULL);
	}
	LIST_INIT(&t->hours);
	id_draw(t->id);
	return (t);
}

void
totals_use(struct totals *t, const struct conf *conf, struct servers *servers,
    struct functions *functions)
{
	t->conf = conf;
	t->servers = servers;
	t->functions = functions;
}

void
totals_free(struct totals *t)
{
	struct hour *h, *next;

	if (t == NULL)
		return;
	LIST_FOREACH_SAFE(h, &t->hours, entry, next)
		drop_hour(h);
	event_free(t->timer);
	free(t);
}
