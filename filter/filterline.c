/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "filterline.h"

#define HEX_ID 16

static const struct {
	const char	     *name;
	enum filterline_event event;
} reports[] = { { "link-connect", EV_LINK_CONNECT },
	{ "link-auth", EV_LINK_AUTH },
	{ "link-disconnect", EV_LINK_DISCONNECT }, { "tx-begin", EV_TX_BEGIN },
	{ "tx-mail", EV_TX_MAIL }, { "tx-rcpt", EV_TX_RCPT },
	{ "tx-data", EV_TX_DATA }, { "tx-commit", EV_TX_COMMIT },
	{ "tx-rollback", EV_TX_ROLLBACK }, { "tx-reset", EV_TX_RESET },
	{ "protocol-client", EV_PROTOCOL_CLIENT },
	{ "protocol-server", EV_PROTOCOL_SERVER }, { NULL, EV_UNKNOWN } },
  requests[] = { { "connect", EV_CONNECT }, { "auth", EV_AUTH },
	  { "mail-from", EV_MAIL_FROM }, { "rcpt-to", EV_RCPT_TO },
	  { "data", EV_DATA }, { "data-line", EV_DATA_LINE },
	  { "commit", EV_COMMIT }, { NULL, EV_UNKNOWN } };

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	return (-1);
}

/* Reads the 16 hexadecimal digits of an id. */
static bool
parse_id(const char *text, uint64_t *id)
{
	uint64_t n = 0;
	int	 i, digit;

	for (i = 0; i < HEX_ID; i++) {
		if ((digit = hex_digit(text[i])) == -1)
			return (false);
		n = n << 4 | (uint64_t)digit;
	}
	*id = n;
	return (true);
}

/* Cuts off the field in front of the next '|'; NULL when there is none. */
static char *
cut_field(char **rest, const char *end)
{
	char *field = *rest, *bar;

	if ((bar = memchr(field, '|', (size_t)(end - field))) == NULL)
		return (NULL);
	*bar = '\0';
	*rest = bar + 1;
	return (field);
}

/* Cuts off an id, which may be the last field of the line. */
static bool
next_id(char **rest, char *end, uint64_t *id)
{
	char *field = *rest;

	if (end - field < HEX_ID || !parse_id(field, id))
		return (false);
	field += HEX_ID;
	if (field != end && *field != '|')
		return (false);
	*rest = field == end ? end : field + 1;
	return (true);
}

static enum filterline_event
find_event(enum filterline_kind kind, const char *name)
{
	size_t i;

	if (kind == LINE_REPORT) {
		for (i = 0; reports[i].name != NULL; i++)
			if (strcmp(reports[i].name, name) == 0)
				break;
		return (reports[i].event);
	}
	for (i = 0; requests[i].name != NULL; i++)
		if (strcmp(requests[i].name, name) == 0)
			break;
	return (requests[i].event);
}

static const char *
parse_config(char *rest, char *end, struct filterline *fl)
{
	char *bar = memchr(rest, '|', (size_t)(end - rest));

	fl->kind = LINE_CONFIG;
	fl->name = rest;
	fl->params = end;
	if (bar != NULL) {
		*bar = '\0';
		fl->params = bar + 1;
	}
	return (NULL);
}

const char *
filterline_parse(char *line, size_t len, struct filterline *fl)
{
	char *end = line + len, *rest = line, *kind, *subsystem;

	memset(fl, 0, sizeof(*fl));
	if ((kind = cut_field(&rest, end)) == NULL)
		return ("no fields");
	if (strcmp(kind, "config") == 0)
		return (parse_config(rest, end, fl));
	if (strcmp(kind, "report") == 0)
		fl->kind = LINE_REPORT;
	else if (strcmp(kind, "filter") == 0)
		fl->kind = LINE_REQUEST;
	else
		return ("unknown kind");

	cut_field(&rest, end); /* version */
	cut_field(&rest, end); /* time */
	if ((subsystem = cut_field(&rest, end)) == NULL ||
	    (fl->name = cut_field(&rest, end)) == NULL)
		return ("too few fields");
	fl->out = fl->kind == LINE_REPORT && strcmp(subsystem, "smtp-out") == 0;
	if (!fl->out && strcmp(subsystem, "smtp-in") != 0)
		return ("unknown subsystem");
	if (!next_id(&rest, end, &fl->session))
		return ("bad session id");
	if (fl->kind == LINE_REQUEST && !next_id(&rest, end, &fl->token))
		return ("bad token");
	fl->event = find_event(fl->kind, fl->name);
	fl->params = rest;
	return (NULL);
}

/* Reads what a run has in common, where it is not that of the line before. */
static bool
start_run(struct filterline_run *run, const char *head)
{
	static const char middle[] = "|smtp-in|data-line|";
	const char	 *ids = head + sizeof(middle) - 1;
	uint64_t	  session, token;

	if (memcmp(head, middle, sizeof(middle) - 1) != 0 ||
	    !parse_id(ids, &session) || ids[HEX_ID] != '|' ||
	    !parse_id(ids + HEX_ID + 1, &token) || ids[2 * HEX_ID + 1] != '|')
		return (false);
	memcpy(run->head, head, sizeof(run->head));
	run->session = session;
	return (true);
}

const char *
filterline_data(const char *line, size_t len, struct filterline_run *run)
{
	const char *end = line + len, *p;

	if (len < 7 || memcmp(line, "filter|", 7) != 0)
		return (NULL);
	p = line + 7;
	if ((p = memchr(p, '|', (size_t)(end - p))) == NULL)
		return (NULL);
	p++;
	if ((p = memchr(p, '|', (size_t)(end - p))) == NULL)
		return (NULL);
	if ((size_t)(end - p) < sizeof(run->head))
		return (NULL);
	if (memcmp(p, run->head, sizeof(run->head)) != 0 && !start_run(run, p))
		return (NULL);
	return (p + sizeof(run->head) - FILTERLINE_DATA_TEXT);
}

const char *
filterline_source(char *params)
{
	char *dest, *src;

	if ((dest = strrchr(params, '|')) == NULL)
		return ("");
	*dest = '\0';
	if ((src = strrchr(params, '|')) == NULL)
		return ("");
	*src++ = '\0';
	if (strchr(params, '|') == NULL)
		return ("");
	return (src);
}
