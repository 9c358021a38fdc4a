/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef QUOTA_H
#define QUOTA_H

#include <stddef.h>

struct conf;
struct event_base;
struct functions;
struct journal;
struct recent;
struct quota_query;

/*
 * Quotas and rates, counted in Redis by scripts/functions/04-quota.lua.  A
 * reservation has an id, so that it can be asked for again when the answer was
 * lost and still counts once, and given back once.
 */

#define QUOTA_ID 17 /* hexadecimal digits and NUL */
#define QUOTA_REPLY 160

enum quota_result {
	QUOTA_OK,
	QUOTA_FULL, /* the reply says what and until when; logged where the
		       counter cannot be read */
	QUOTA_BAD   /* the record cannot be understood: logged */
};

#define QUOTA_LOGGED 64	   /* users and keys that were spoken of */
#define QUOTA_LOG_PAUSE 60 /* seconds between words about one */

/* What they are counted with; all must outlive the queries. */
struct quotas {
	struct event_base *base;
	const struct conf *conf;
	struct functions  *functions;
	struct journal	  *journal; /* not needed to check */
	struct recent	  *logged;  /* what is bad; NULL: all is logged */
};

/* The reply is there for QUOTA_FULL, and only during the call. */
typedef void (*quota_cb)(void *, enum quota_result, const char *);

/* Draws the id of a reservation. */
void quota_id(char[QUOTA_ID]);

/*
 * Asks whether there is room for units more, or reserves them.  A reservation
 * counts once as many replicas as the configuration asks for have it.  Redis is
 * asked again for as long as it does not answer: the caller cancels when its own
 * time is over.  NULL when memory is short.
 */
struct quota_query *
quota_check(const struct quotas *, const char *user, size_t, quota_cb, void *);
struct quota_query *quota_reserve(const struct quotas *, const char *user,
    const char *id, size_t, quota_cb, void *);

/*
 * Makes the callback not come, and frees the query.  A reservation that may
 * have been made is given back.
 */
void quota_cancel(struct quota_query *);

/* What was reserved stays charged. */
void quota_keep(const struct quotas *, const char *user, const char *id);

/* Gives it back, at once or when there is a Redis again. */
void quota_refund(const struct quotas *, const char *user, const char *id);

#endif /* QUOTA_H */
