/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef QUOTA_H
#define QUOTA_H

#include <stdbool.h>
#include <stddef.h>

struct conf;
struct event_base;
struct functions;
struct quota_query;
struct recent;
struct writequeue;

/*
 * Quotas and rates, which scripts/functions/04h-reservations.lua counts in
 * Redis.  A reservation has an id, so that a repeated request counts once, and
 * can be given back once: id_draw().
 *
 * An account may have limits for all its users together.  These are in another
 * slot of a cluster, and so have a second reservation with the same id.  Both
 * are requested at once; if one is refused, the other is given back.
 */

#define QUOTA_REPLY 448
#define QUOTA_WORDS 16

enum quota_result {
	QUOTA_OK,
	QUOTA_FULL,  /* the reply says which limit, and until when; logged if
			the counter cannot be read */
	QUOTA_ALARM, /* an alarm refuses it, see the words */
	QUOTA_BAD    /* the record is invalid: logged */
};

/* A list of words in a function's reply; the first says what it is. */
struct quota_words {
	size_t	    n;
	const char *word[QUOTA_WORDS];
};

/* Whose limit it is. */
enum quota_whose {
	QUOTA_OF_USER,
	QUOTA_OF_ACCOUNT,
	QUOTA_OF_SENDER /* one domain that the user sends as */
};

struct quota_answer {
	enum quota_result  result;
	const char	  *reply;   /* QUOTA_FULL, and the next four: */
	bool		   passing; /* defer: there may be room after all */
	bool		   never;   /* the reply is for good */
	enum quota_whose   whose;
	const char	  *domain; /* QUOTA_OF_SENDER */
	struct quota_words words;  /* QUOTA_ALARM: from "alarm" on */
};

#define QUOTA_LOGGED 64	   /* users and keys that were logged lately */
#define QUOTA_LOG_PAUSE 60 /* seconds between two lines about one */

/*
 * Gets an event that comes with an answer: its kind, then figures by name.  The
 * account is "" if the event is about the user.
 */
typedef void (*quota_event_cb)(void *, const char *user, const char *account,
    const struct quota_words *);

/* What they are counted with; all must outlive the queries. */
struct quotas {
	struct event_base *base;
	const struct conf *conf;
	struct functions  *functions;
	struct writequeue *writequeue; /* not needed to check */
	struct recent	  *logged;     /* errors; NULL: each is logged */
	quota_event_cb	   event;      /* may be NULL */
	void		  *event_arg;
};

/* Facts about a message by a tag that the functions know. */
struct quota_tag {
	const char	  *tag;
	size_t		   n;
	const char *const *values;
};

/* What is asked.  It is copied. */
struct quota_question {
	const char	       *user;
	const char	       *account; /* with limits of its own; "": none */
	size_t			units;
	size_t			ntags;
	const struct quota_tag *tags; /* for the user's part alone */
};

/* The answer is valid only during the call. */
typedef void (*quota_cb)(void *, const struct quota_answer *);

/*
 * Ask whether there is room for so many units, or reserve them.  A reservation
 * succeeds only when redis_replicas have it.  The request is repeated until
 * Redis answers: the caller must cancel at its deadline.  NULL when out of
 * memory.
 */
struct quota_query *quota_check(const struct quotas *,
    const struct quota_question *, quota_cb, void *);
struct quota_query *quota_reserve(const struct quotas *,
    const struct quota_question *, const char *id, quota_cb, void *);

/*
 * Cancels and frees the query: its callback is not called.  A reservation that
 * may have been made is given back.
 */
void quota_cancel(struct quota_query *);

#endif /* QUOTA_H */
