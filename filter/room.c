/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <stdio.h>
#include <string.h>

#include "alarms.h"
#include "charges.h"
#include "conf.h"
#include "decide.h"
#include "id.h"
#include "room.h"

/* Gives back what the message does not need, as it has not passed. */
static void
give_back_reservation(struct room *room)
{
	struct tx *tx = room->facts->session->tx;

	if (room->facts->stage != STAGE_END_OF_DATA || tx == NULL)
		return;
	if (tx->reservation == RESERVATION_MADE && tx->state != TX_PASSED)
		charges_refund(room->quotas, tx->user, tx->reservation_account,
		    tx->reservation_id);
	if (tx->state != TX_PASSED)
		tx->reservation = RESERVATION_NONE;
}

/* Room that was asked for is of no use. */
void
room_forget(struct room *room)
{
	if (room->query != NULL)
		quota_cancel(room->query);
	room->query = NULL;
	give_back_reservation(room);
	room->facts->room = ROOM_UNASKED;
}

/* The user is not there, or another, or other limits count besides. */
bool
room_is_others(const struct room *room, const struct user *user)
{
	return (user == NULL || strcmp(user->name, room->name) != 0 ||
	    strcmp(user_limited_account(user), room->account) != 0);
}

static void
take_refusal(struct room *room, const struct quota_answer *answer)
{
	strlcpy(room->reply, answer->reply, sizeof(room->reply));
	snprintf(room->refusal, sizeof(room->refusal), "550 5.7.1%s",
	    answer->reply + strlen("550 5.7.1"));
	room->facts->room = ROOM_NONE;
	room->facts->room_whose = answer->whose;
	strlcpy(room->domain, answer->domain, sizeof(room->domain));
	room->facts->room_domain = room->domain;
	room->facts->room_reply = room->reply;
	room->facts->room_refusal = room->refusal;
	room->facts->room_passing = answer->passing;
	room->facts->room_never = answer->never;
}

/* {"alarm", what the user is by now, by which of them} */
static enum room_fact
room_of_alarm(const struct quota_words *words)
{
	if (words->n > 1 && strcmp(words->word[1], "sandbox") == 0)
		return (ROOM_SANDBOXED);
	return (words->n > 1 && strcmp(words->word[1], "block") == 0
		? ROOM_BLOCKED
		: ROOM_UNKNOWN);
}

static void
on_answer(void *arg, const struct quota_answer *answer)
{
	struct room *room = arg;
	struct tx   *tx = room->facts->session->tx;

	room->query = NULL;
	if (tx->reservation == RESERVATION_ASKED)
		tx->reservation = answer->result == QUOTA_OK ? RESERVATION_MADE
							     : RESERVATION_NONE;
	room->facts->room = answer->result == QUOTA_OK ? ROOM_THERE
						       : ROOM_UNKNOWN;
	if (answer->result == QUOTA_FULL)
		take_refusal(room, answer);
	if (answer->result == QUOTA_ALARM)
		room->facts->room = room_of_alarm(&answer->words);
	room->cb(room->arg);
}

/* What the message counts as. */
static size_t
units_of(const struct conf *conf, const struct tx *tx)
{
	return (conf->quota_unit == UNIT_RECIPIENT && tx->recipients > 1
		? tx->recipients
		: 1);
}

static struct quota_query *
query_room(struct room *room, struct tx *tx,
    const struct quota_question *question)
{
	if (room->facts->stage != STAGE_END_OF_DATA || room->dry)
		return (quota_check(room->quotas, question, on_answer, room));
	id_draw(tx->reservation_id);
	strlcpy(tx->reservation_account, question->account,
	    sizeof(tx->reservation_account));
	tx->reservation = RESERVATION_ASKED;
	return (quota_reserve(room->quotas, question, tx->reservation_id,
	    on_answer, room));
}

static void
write_alarms(struct room *room, struct alarms_words *words)
{
	const struct tx		   *tx = room->facts->session->tx;
	const struct alarms_message message = { .limits = &tx->alarms,
		.source = &room->facts->session->source,
		.recipients = tx->recipients,
		.digests = &tx->recipients_seen };

	alarms_write(room->quotas->conf, &message, words);
}

/* The domains that the message counts for. */
static size_t
counted_domains(const struct senders *senders, const char *names[DOMAINS_MAX])
{
	size_t i, n = 0;

	for (i = 0; i < senders->domains.n; i++)
		if (senders->counted >> i & 1)
			names[n++] = senders->domains.name[i];
	return (n);
}

void
room_ask(struct room *room, const char *name, const char *account)
{
	const char	     *domains[DOMAINS_MAX];
	struct alarms_words   words;
	struct quota_tag      tags[] = { { "senders", 0, domains },
		     { "alarms", ALARMS_VALUES, words.values } };
	struct quota_question question = {
		.user = name, .account = account, .ntags = 1, .tags = tags
	};
	struct tx *tx = room->facts->session->tx;

	strlcpy(room->name, name, sizeof(room->name));
	strlcpy(room->account, account, sizeof(room->account));
	tags[0].n = counted_domains(room->facts->senders, domains);
	if (tx != NULL) {
		question.units = units_of(room->quotas->conf, tx);
		if (!room->dry && decide_alarmed(room->facts)) {
			write_alarms(room, &words);
			question.ntags = 2;
		}
		room->query = query_room(room, tx, &question);
	}
	if (room->query != NULL)
		return;
	if (tx != NULL)
		tx->reservation = RESERVATION_NONE;
	room->facts->room = ROOM_UNKNOWN;
}

/*
 * Whether the message is from nobody but the domain that MAIL FROM was accepted
 * of, whatever SPF says: what alarms count of it is not all undone.
 */
static bool
is_of_envelope(const struct room *room)
{
	const struct senders *senders = room->facts->senders;

	return (!room->facts->session->tx->any_domain && senders->of_envelope &&
	    senders->domains.n == 1);
}

/* Whether the user will have limits, or alarms that count the message. */
static bool
guess_room(const struct room *room, const struct users_question *question,
    char name[USER_NAME_MAX + 1], char account[USER_NAME_MAX + 1])
{
	bool limited;

	name[0] = account[0] = '\0';
	limited = users_guess_limited(room->users, question, name, account);
	if (!decide_alarmed(room->facts))
		return (limited);
	strlcpy(name, room->facts->session->tx->user, USER_NAME_MAX + 1);
	return (is_of_envelope(room));
}

/*
 * Where the last answer about the user makes it likely, room is asked for
 * along with the user: it is given back should it not be needed.
 */
void
room_ask_if_likely(struct room *room, const struct users_question *question)
{
	const struct facts *f = room->facts;
	char		    name[USER_NAME_MAX + 1];
	char		    account[USER_NAME_MAX + 1];

	if (f->stage == STAGE_AUTH || f->room != ROOM_UNASKED ||
	    f->senders->reason != REASON_NONE ||
	    !guess_room(room, question, name, account))
		return;
	if (f->stage == STAGE_END_OF_DATA &&
	    (room->facts->session->tx->hidden_end ||
		strcmp(name, room->facts->session->tx->user) != 0))
		return;
	room_ask(room, name, account);
}

bool
room_is_asked(const struct room *room)
{
	return (room->query != NULL);
}

void
room_end(struct room *room)
{
	if (room->query != NULL)
		quota_cancel(room->query);
	room->query = NULL;
	give_back_reservation(room);
}
