/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <bsd/string.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "monotonic.h"
#include "redisread.h"
#include "serverinfo.h"
#include "trouble.h"

#define STATES 16
#define CODE 32
#define TEXT 256
#define MINUTE 60

/* An error that requests of one kind get. */
struct state {
	char code[CODE]; /* "": none */
	char request[TROUBLE_REQUEST];
	bool of_all; /* any request that is served ends it */
};

struct trouble {
	char	    *name;
	char	     why[TEXT]; /* "": connected */
	bool	     unseen;	/* INFO was refused */
	char	     danger[DANGERS][DANGER_TEXT];
	struct state states[STATES];
	size_t	     nstates; /* that are there */
	size_t	     oldest;  /* makes room for another */
	time_t	     minute;  /* since when */
	int	     lines;   /* were written */
};

struct trouble *
trouble_new(const char *name)
{
	struct trouble *t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		return (NULL);
	if ((t->name = strdup(name)) == NULL) {
		free(t);
		return (NULL);
	}
	return (t);
}

void
trouble_free(struct trouble *t)
{
	if (t == NULL)
		return;
	free(t->name);
	free(t);
}

/*
 * False when it was not said, as too much has been: then it counts as unknown,
 * so that it is told later, should it still be so.
 */
static bool
say(struct trouble *t, int priority, const char *text)
{
	const time_t now = monotonic_s();

	if (t->lines == 0 || now - t->minute >= MINUTE) {
		t->minute = now;
		t->lines = 0;
	}
	if (t->lines < TROUBLE_LINES)
		log_at(priority, "redis: %s: %s", t->name, text);
	else if (t->lines == TROUBLE_LINES)
		log_warnx(
		    "redis: %s: it changes too often: the next changes are logged in "
		    "a minute",
		    t->name);
	else
		return (false);
	return (t->lines++ < TROUBLE_LINES);
}

/* Names of users may need more than the sandbox leaves; numbers do. */
static void
add_who(char *text, size_t size, const char *why)
{
	if (strcmp(why, strerror(EACCES)) == 0)
		snprintf(text, size,
		    "%s, as uid %u and gid %u: see Privileges in "
		    "filter-smtpusers(8)",
		    why, (unsigned)geteuid(), (unsigned)getegid());
	else
		strlcpy(text, why, size);
}

void
trouble_away(struct trouble *t, const char *why)
{
	char text[TEXT];

	if (strncmp(t->why, why, sizeof(t->why) - 1) == 0)
		return;
	add_who(text, sizeof(text), why);
	if (say(t, LOG_WARNING, text))
		strlcpy(t->why, why, sizeof(t->why));
}

void
trouble_back(struct trouble *t)
{
	if (t->why[0] != '\0' && say(t, LOG_INFO, "connected"))
		t->why[0] = '\0';
}

/* As much of the text as there is room for; returns where it ends. */
static size_t
copy_text(char out[TROUBLE_REQUEST], size_t at, const char *text)
{
	size_t n = strnlen(text, TROUBLE_REQUEST - 1 - at);

	memcpy(out + at, text, n);
	out[at + n] = '\0';
	return (at + n);
}

void
trouble_request(char out[TROUBLE_REQUEST], int argc, const char **argv)
{
	size_t n = copy_text(out, 0, argv[0]);

	if (argc > 1)
		copy_text(out, copy_text(out, n, " "), argv[1]);
}

/* The same command on keys of the same kind: what {} holds may differ. */
static bool
alike(const char *a, const char *b)
{
	while (*a == *b && *a != '\0') {
		if (*a == '{') {
			a += strcspn(a, "}");
			b += strcspn(b, "}");
		} else {
			a++;
			b++;
		}
	}
	return (*a == *b);
}

/* The word that an error starts with; more of one that has no word. */
static void
code_of(const char *error, char code[CODE])
{
	size_t n = strcspn(error, " ");

	if (n == 3 && strncmp(error, "ERR", n) == 0)
		n = CODE;
	strlcpy(code, error, n < CODE ? n + 1 : CODE);
}

static bool
of_all(const char *code)
{
	return (strcmp(code, "LOADING") == 0 || strcmp(code, "BUSY") == 0 ||
	    strcmp(code, "MASTERDOWN") == 0 ||
	    strcmp(code, "CLUSTERDOWN") == 0);
}

/* What one record, or a library that is yet to be loaded, is at fault for. */
static bool
is_trouble(const char *request, const char *error)
{
	if (strncmp(error, "WRONGTYPE", 9) == 0 ||
	    strstr(request, TROUBLE_PROBE) != NULL ||
	    strncmp(error, REDIS_TOO_LARGE, sizeof(REDIS_TOO_LARGE) - 1) == 0)
		return (false);
	return (strstr(error, "Function not found") == NULL ||
	    strstr(request, "smtpusers_version") == NULL);
}

static struct state *
state_of(struct trouble *t, const char *code, const char *request)
{
	struct state *s;

	for (s = t->states; s < t->states + STATES; s++)
		if (strcmp(s->code, code) == 0 &&
		    (s->of_all || alike(s->request, request)))
			return (s);
	return (NULL);
}

static struct state *
free_state(struct trouble *t)
{
	struct state *s;

	for (s = t->states; s < t->states + STATES; s++)
		if (s->code[0] == '\0') {
			t->nstates++;
			return (s);
		}
	return (&t->states[t->oldest++ % STATES]);
}

static void
begin_state(struct trouble *t, const char *request, const char *error)
{
	const char   *todo = "";
	char	      code[CODE], text[TEXT + TROUBLE_REQUEST];
	struct state *s;

	code_of(error, code);
	if (code[0] == '\0' || state_of(t, code, request) != NULL)
		return;
	if (strcmp(code, "NOPERM") == 0)
		todo = ": smtpusers setup prints the rights that it needs";
	snprintf(text, sizeof(text), "%s: %.200s%s", request, error, todo);
	if (!say(t, LOG_WARNING, text))
		return;
	s = free_state(t);
	strlcpy(s->code, code, sizeof(s->code));
	strlcpy(s->request, request, sizeof(s->request));
	s->of_all = of_all(code);
}

static void
end_state(struct trouble *t, struct state *s)
{
	char text[TEXT];

	snprintf(text, sizeof(text), "%.79s: no longer %.31s", s->request,
	    s->code);
	if (!say(t, LOG_INFO, text))
		return;
	s->code[0] = '\0';
	t->nstates--;
}

void
trouble_reply(struct trouble *t, const char *request, const redisReply *reply)
{
	struct state *s;

	if (reply->type == REDIS_REPLY_ERROR) {
		if (is_trouble(request, reply->str))
			begin_state(t, request, reply->str);
		return;
	}
	for (s = t->states; t->nstates > 0 && s < t->states + STATES; s++)
		if (s->code[0] != '\0' &&
		    (s->of_all || alike(s->request, request)))
			end_state(t, s);
}

static void
note_danger(struct trouble *t, char known[DANGER_TEXT],
    const char text[DANGER_TEXT])
{
	char over[DANGER_TEXT + 32];
	bool said;

	if (strcmp(known, text) == 0)
		return;
	snprintf(over, sizeof(over), "no longer: %s", known);
	if (text[0] != '\0')
		said = say(t, LOG_WARNING, text);
	else
		said = say(t, LOG_INFO, over);
	if (said)
		strlcpy(known, text, DANGER_TEXT);
}

static void
note_unseen(struct trouble *t, const redisReply *reply)
{
	char text[TEXT];

	snprintf(text, sizeof(text),
	    "INFO: %.120s: whether what it is told is kept cannot be seen",
	    reply->type == REDIS_REPLY_ERROR ? reply->str : "no text");
	t->unseen = t->unseen || say(t, LOG_WARNING, text);
}

void
trouble_info(struct trouble *t, const redisReply *reply, int replicas)
{
	char   text[DANGERS][DANGER_TEXT];
	size_t i;

	if (reply->type != REDIS_REPLY_STRING) {
		note_unseen(t, reply);
		return;
	}
	t->unseen = false;
	serverinfo_read(reply->str, replicas, text);
	for (i = 0; i < DANGERS; i++)
		note_danger(t, t->danger[i], text[i]);
}
