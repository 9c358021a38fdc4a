/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf.h"
#include "guess.h"
#include "key.h"
#include "log.h"
#include "monotonic.h"
#include "recent.h"
#include "servers.h"
#include "usercommand.h"
#include "userreplies.h"
#include "users.h"

#define LOGGED 64    /* records that were logged lately */
#define LOG_PAUSE 60 /* seconds between words about one of them */

/*
 * A record that was too large to be read is asked for its size first for so
 * many seconds, lest each login that is tried make Redis send it.
 */
#define LARGE_PAUSE 60

struct users {
	struct servers	  *servers;
	const struct conf *conf;
	struct guesses	  *guesses;
	struct recent	  *logged; /* records, lately */
};

/* What is asked about the user that was found or named. */
enum step {
	STEP_RECORD, /* all at once, unless it was too large lately */
	STEP_SIZES,  /* how large it is */
	STEP_SIZED   /* all at once, since the sizes were good */
};

struct part {
	struct users_query *query;
	struct servers_req *req; /* NULL: not under way */
};

struct users_query {
	struct users	     *users;
	struct users_question question;
	users_cb	      cb;
	void		     *arg;
	struct part	      parts[NPARTS];
	size_t		      nwaiting; /* parts under way */
	struct userreplies    told;
	enum step	      step;
	bool		      by_prefixes; /* the list was last asked about */
	/* Whom and which account has been asked about: "" none. */
	char name[USER_NAME_MAX + 1];
	char account[USER_NAME_MAX + 1];
};

struct users *
users_new(struct servers *servers, const struct conf *conf)
{
	struct users *us;

	if ((us = calloc(1, sizeof(*us))) == NULL)
		return (NULL);
	us->guesses = guesses_new();
	us->logged = recent_new(LOGGED, LOG_PAUSE);
	users_use(us, servers, conf);
	if (us->guesses != NULL && us->logged != NULL)
		return (us);
	users_free(us);
	return (NULL);
}

void
users_use(struct users *us, struct servers *servers, const struct conf *conf)
{
	us->servers = servers;
	us->conf = conf;
}

void
users_free(struct users *us)
{
	if (us == NULL)
		return;
	guesses_free(us->guesses);
	recent_free(us->logged);
	free(us);
}

static struct usertarget
target_of(const struct users_query *q)
{
	return ((struct usertarget){ q->users->conf->prefix, &q->question,
	    q->told.scope, q->name, q->account });
}

void
users_log_bad(const char *key, const char *what)
{
	log_warnx("%s: bad record: %.40s; what needs it is deferred until it "
		  "is mended: type smtpusers check",
	    key, what);
}

static void
log_bad_part(struct users_query *q)
{
	const struct usertarget target = target_of(q);
	char			buf[KEY_TEXT];
	const char *key = usertarget_key(&target, q->told.bad.part, buf);

	if (recent_add_new(q->users->logged, 1, &key))
		users_log_bad(key, q->told.bad.what);
}

static void
free_query(struct users_query *q)
{
	size_t i;

	for (i = 0; i < NPARTS; i++)
		if (q->parts[i].req != NULL)
			servers_cancel(q->parts[i].req);
	freezero(q, sizeof(*q));
}

void
users_cancel(struct users_query *q)
{
	free_query(q);
}

/* Remembers that what was asked for is not to be read as it is. */
static void
learn_large(struct users_query *q)
{
	struct guess guess = { .long_list = q->told.long_list,
		.large_until = monotonic_s() + LARGE_PAUSE };

	strlcpy(guess.name, q->name, sizeof(guess.name));
	strlcpy(guess.account, q->account, sizeof(guess.account));
	guess_learn_user(q->users->guesses, &guess);
}

static void
finish_query(struct users_query *q, enum users_found found)
{
	if (found == USER_BAD)
		log_bad_part(q);
	if (found == USER_BAD && q->told.too_large && q->name[0] != '\0')
		learn_large(q);
	q->cb(q->arg, found, found == USER_OK ? &q->told.user : NULL);
	free_query(q);
}

static void judge_replies(struct users_query *);

static void
on_part(void *arg, const redisReply *reply)
{
	struct part	   *part = arg;
	struct users_query *q = part->query;
	enum part_kind	    kind = (enum part_kind)(part - q->parts);

	part->req = NULL;
	q->nwaiting--;
	userreplies_take(&q->told, kind, &q->question, reply);
	if (q->nwaiting == 0)
		judge_replies(q);
}

static bool
ask_for(struct users_query *q, enum part_kind kind)
{
	const struct usertarget target = target_of(q);
	struct usercommand	command;
	struct part	       *part = &q->parts[kind];

	usercommand_make(&command, &target, kind);
	part->query = q;
	part->req = servers_send(q->users->servers, command.key, on_part, part,
	    command.argc, command.argv);
	if (part->req == NULL)
		return (false);
	q->nwaiting++;
	return (true);
}

/* Whether there are any at all: mostly there are none. */
static bool
ask_suppresses(struct users_query *q, enum part_kind kind)
{
	return (!q->question.suppresses || ask_for(q, kind));
}

static bool
has_domains(const struct users_query *q)
{
	return (q->question.domains != NULL && q->question.domains->n > 0);
}

static bool
ask_short_list(struct users_query *q)
{
	q->by_prefixes = false;
	return (ask_for(q, PART_LIST));
}

static bool
ask_prefixes(struct users_query *q)
{
	q->by_prefixes = true;
	q->told.in_prefixes = false;
	return (ask_for(q, PART_LENGTH) && ask_for(q, PART_PREFIXES));
}

static bool
ask_source(struct users_query *q, bool long_list)
{
	if (q->question.source == NULL)
		return (true);
	return (long_list ? ask_prefixes(q) : ask_short_list(q));
}

static bool
ask_account(struct users_query *q, const char *account)
{
	strlcpy(q->account, account, sizeof(q->account));
	q->told.bad_account.what = NULL;
	memset(&q->told.account, 0, sizeof(q->told.account));
	return (ask_for(q, PART_ACCOUNT) &&
	    ask_suppresses(q, PART_ACCOUNT_SUPPRESSED) &&
	    (!has_domains(q) || ask_for(q, PART_ACCOUNT_DOMAINS)));
}

/* How large are what is read as a whole, and the list should it be short. */
static bool
ask_sizes(struct users_query *q, const char *account)
{
	q->step = STEP_SIZES;
	q->told.bad_account.what = NULL;
	if (!ask_for(q, PART_RECORD_SIZE) || !ask_for(q, PART_LIST_SIZE) ||
	    !ask_for(q, PART_LENGTH))
		return (false);
	if (account[0] == '\0')
		return (true);
	strlcpy(q->account, account, sizeof(q->account));
	return (ask_for(q, PART_ACCOUNT_SIZE));
}

static bool
ask_record(struct users_query *q, const char *name)
{
	const struct guess *guess = guess_user(q->users->guesses, name);

	strlcpy(q->name, name, sizeof(q->name));
	user_clear(&q->told.user);
	strlcpy(q->told.user.name, name, sizeof(q->told.user.name));
	if (q->step != STEP_SIZED && guess != NULL &&
	    guess->large_until > monotonic_s())
		return (ask_sizes(q, guess->account));
	q->told.long_list = guess != NULL && guess->long_list;
	if (!ask_for(q, PART_RECORD) || !ask_source(q, q->told.long_list) ||
	    !ask_suppresses(q, PART_SUPPRESSED))
		return (false);
	if (has_domains(q) &&
	    (!ask_for(q, PART_DOMAINS) ||
		(q->question.addresses != NULL && !ask_for(q, PART_ADDRESSES))))
		return (false);
	return (guess == NULL || guess->account[0] == '\0' ||
	    ask_account(q, guess->account));
}

/* Remembers what the next question can be guessed from. */
static void
learn(struct users_query *q)
{
	const struct guess *before = guess_user(q->users->guesses, q->name);
	struct guess	    guess = { .limited = q->told.user.limited };

	strlcpy(guess.name, q->name, sizeof(guess.name));
	strlcpy(guess.account, q->told.user.account, sizeof(guess.account));
	guess.account_limited = strcmp(q->account, q->told.user.account) == 0 &&
	    q->told.account.limited;
	/* Of limits a question about a login says nothing. */
	if (q->question.scope == USER_LOGIN) {
		guess.limited = before != NULL && before->limited;
		guess.account_limited = before != NULL &&
		    before->account_limited &&
		    strcmp(before->account, guess.account) == 0;
	}
	guess.long_list = q->told.long_list;
	guess_learn_user(q->users->guesses, &guess);
}

/* What is lacking about the source, since it was not known to be needed. */
enum missing {
	MISSING_NOTHING,
	MISSING_LIST,
	MISSING_PREFIXES
};

static enum missing
missing_of_source(struct users_query *q)
{
	if (q->question.source == NULL || q->told.user.source != SOURCE_UNASKED)
		return (MISSING_NOTHING);
	/* It was read, and is too long for that. */
	if (!q->by_prefixes) {
		q->told.long_list = true;
		return (MISSING_PREFIXES);
	}
	/* It was long, and is not any more, or it was long all along. */
	if (!q->told.long_list)
		return (MISSING_LIST);
	q->told.user.source = q->told.in_prefixes ? SOURCE_LISTED
						  : SOURCE_UNLISTED;
	return (MISSING_NOTHING);
}

/* What was asked about before is nothing that the answer may be made of. */
static void
ask_again(struct users_query *q)
{
	char name[USER_NAME_MAX + 1];

	strlcpy(name, q->name, sizeof(name));
	q->account[0] = '\0';
	if (!ask_record(q, name))
		finish_query(q, USER_UNAVAILABLE);
}

static bool
has_account(const struct users_query *q)
{
	return (q->told.user.account[0] != '\0');
}

/* Whether the account that was asked about is the user's. */
static bool
knows_account(const struct users_query *q)
{
	return (strcmp(q->told.user.account, q->account) == 0);
}

/*
 * Whether what was asked for in short does not tell enough: a user who is
 * blocked may be so no longer, and an account that has none of that may have
 * something else.
 */
static bool
too_short(const struct users_query *q)
{
	return (q->told.scope == USER_BRIEF &&
	    (q->told.user.status == STATUS_BLOCKED ||
		(has_account(q) && knows_account(q) &&
		    q->told.account.missing)));
}

/* Asks for what was guessed wrong. */
static bool
ask_missing(struct users_query *q, enum missing missing)
{
	if (has_account(q) && !knows_account(q) &&
	    !ask_account(q, q->told.user.account))
		return (false);
	switch (missing) {
	case MISSING_LIST:
		return (ask_short_list(q));
	case MISSING_PREFIXES:
		return (ask_prefixes(q));
	case MISSING_NOTHING:
		break;
	}
	return (true);
}

/* Whether the user was named, or names the address too. */
static bool
is_sought(const struct users_query *q)
{
	return (q->question.name != NULL ||
	    (q->told.user.ip_auth.len != 0 &&
		netaddr_equal(q->question.address, &q->told.user.ip_auth)));
}

/* All is known. */
static void
conclude_record(struct users_query *q)
{
	if (has_account(q) && q->told.bad_account.what != NULL) {
		q->told.bad = q->told.bad_account;
		finish_query(q, USER_BAD);
		return;
	}
	if (has_account(q))
		user_take_account(&q->told.user, &q->told.account);
	finish_query(q, is_sought(q) ? USER_OK : USER_NONE);
}

static void
judge_record(struct users_query *q)
{
	enum missing missing;

	if (!q->told.exists) {
		finish_query(q, USER_NONE);
		return;
	}
	if (too_short(q)) {
		q->told.scope = q->question.scope;
		ask_again(q);
		return;
	}
	missing = missing_of_source(q);
	learn(q);
	if (!ask_missing(q, missing))
		finish_query(q, USER_UNAVAILABLE);
	else if (q->nwaiting == 0)
		conclude_record(q);
}

/* The address is somebody else's by now, or was not known to be anybody's. */
static void
ask_new_owner(struct users_query *q)
{
	guess_learn_address(q->users->guesses, q->question.address,
	    q->told.owner);
	q->told.bad.what = NULL;
	q->step = STEP_RECORD;
	q->told.list_is_large = false;
	q->told.exists = false;
	q->account[0] = '\0';
	memset(q->parts, 0, sizeof(q->parts));
	if (!ask_record(q, q->told.owner))
		finish_query(q, USER_UNAVAILABLE);
}

/* The sizes are known: what is not too large is asked for. */
static void
judge_sizes(struct users_query *q)
{
	q->step = STEP_SIZED;
	if (q->told.bad.what == NULL)
		q->told.bad = q->told.bad_account;
	if (q->told.bad.what == NULL && q->told.list_is_large &&
	    !q->told.long_list)
		q->told.bad = (struct fault){ USERREPLIES_TOO_LARGE,
			PART_LIST_SIZE };
	if (q->told.bad.what != NULL)
		finish_query(q, USER_BAD);
	else
		ask_again(q);
}

static bool
is_bad_owner(const struct users_query *q)
{
	return (q->told.bad.what != NULL && q->told.bad.part == PART_OWNER);
}

/* Whether it is known whose the address is, and that user was asked about. */
static bool
owner_is_right(const struct users_query *q)
{
	return (!is_bad_owner(q) && q->told.owner[0] != '\0' &&
	    strcmp(q->told.owner, q->name) == 0);
}

static void
judge_owner(struct users_query *q)
{
	if (is_bad_owner(q))
		finish_query(q, USER_BAD);
	else if (q->told.owner[0] == '\0') {
		guess_learn_address(q->users->guesses, q->question.address,
		    NULL);
		finish_query(q, USER_NONE);
	} else
		ask_new_owner(q);
}

/* All replies are here. */
static void
judge_replies(struct users_query *q)
{
	if (q->told.unavailable)
		finish_query(q, USER_UNAVAILABLE);
	else if (q->question.name == NULL && !owner_is_right(q))
		judge_owner(q);
	else if (q->step == STEP_SIZES)
		judge_sizes(q);
	else if (q->told.bad.what != NULL)
		finish_query(q, USER_BAD);
	else
		judge_record(q);
}

/* Mostly it is known who may log in, and each field that is asked for costs. */
static enum user_scope
first_scope(const struct users_question *ask)
{
	return (ask->scope == USER_LOGIN && ask->name != NULL &&
		    ask->source == NULL
		? USER_BRIEF
		: ask->scope);
}

static bool
ask_first(struct users_query *q)
{
	const char *name = q->question.name;

	q->told.scope = first_scope(&q->question);
	if (name != NULL)
		return (ask_record(q, name));
	if (!ask_for(q, PART_OWNER))
		return (false);
	name = guess_address(q->users->guesses, q->question.address);
	return (name == NULL || ask_record(q, name));
}

struct users_query *
users_ask(struct users *us, const struct users_question *question, users_cb cb,
    void *arg)
{
	struct users_query *q;

	if ((q = calloc(1, sizeof(*q))) == NULL)
		return (NULL);
	q->users = us;
	q->question = *question;
	q->cb = cb;
	q->arg = arg;
	if (ask_first(q))
		return (q);
	free_query(q);
	return (NULL);
}

bool
users_guess_limited(const struct users *us, const struct users_question *ask,
    char name[USER_NAME_MAX + 1], char account[USER_NAME_MAX + 1])
{
	const char	   *of = ask->name;
	const struct guess *guess;

	if (of == NULL)
		of = guess_address(us->guesses, ask->address);
	if (of == NULL || (guess = guess_user(us->guesses, of)) == NULL)
		return (false);
	strlcpy(name, of, USER_NAME_MAX + 1);
	strlcpy(account, guess->account_limited ? guess->account : "",
	    USER_NAME_MAX + 1);
	return (guess->limited || guess->account_limited);
}
