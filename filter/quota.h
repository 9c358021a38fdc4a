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
 * Quotas and rates, counted in Redis by scripts/functions/04-quota.lua.  A
 * reservation has an id, so that it can be asked for again when the answer was
 * lost and still counts once, and given back once.
 *
 * A user's account may have limits for all its users together.  They are in
 * another slot of a cluster, and a reservation of their own with the same id:
 * both are asked for at once, and whichever is refused gives the other back.
 */

#define QUOTA_ID 17 /* hexadecimal digits and NUL */
#define QUOTA_REPLY 448
#define QUOTA_WORDS 16

enum quota_result {
	QUOTA_OK,
	QUOTA_FULL,  /* the reply says what and until when; logged where the
			counter cannot be read */
	QUOTA_ALARM, /* another part of the functions refuses it: the words */
	QUOTA_BAD    /* the record cannot be understood: logged */
};

/* What a function says in words of any number: the first tells what it is. */
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
	const char	  *reply;   /* QUOTA_FULL, and the next three: */
	bool		   passing; /* there may be room all the same */
	enum quota_whose   whose;
	const char	  *domain; /* QUOTA_OF_SENDER */
	struct quota_words words;  /* QUOTA_ALARM: from "alarm" on */
};

#define QUOTA_LOGGED 64	   /* users and keys that were spoken of */
#define QUOTA_LOG_PAUSE 60 /* seconds between words about one */

/*
 * Takes an event that comes with an answer: its kind first, then figures by
 * name.  The account is "" where it is the user's.
 */
typedef void (*quota_event_cb)(void *, const char *user, const char *account,
    const struct quota_words *);

/* What they are counted with; all must outlive the queries. */
struct quotas {
	struct event_base *base;
	const struct conf *conf;
	struct functions  *functions;
	struct writequeue *writequeue; /* not needed to check */
	struct recent	  *logged;     /* what is bad; NULL: all is logged */
	quota_event_cb	   event;      /* NULL: nobody is told */
	void		  *event_arg;
};

/* Facts about a message by a tag that the functions know. */
struct quota_tag {
	const char	  *tag;
	size_t		   n;
	const char *const *values;
};

/* What room is asked for.  It is copied. */
struct quota_question {
	const char	       *user;
	const char	       *account; /* with limits of its own; "": none */
	size_t			units;
	size_t			ntags;
	const struct quota_tag *tags; /* for the user's part alone */
};

/* What the answer points to is there only during the call. */
typedef void (*quota_cb)(void *, const struct quota_answer *);

/* Draws the id of a reservation. */
void quota_id(char[QUOTA_ID]);

/*
 * Asks whether there is room for units more, or reserves them.  A reservation
 * counts once as many replicas as the configuration asks for have it.  Redis is
 * asked again for as long as it does not answer: the caller cancels when its own
 * time is over.  NULL when out of memory.
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
