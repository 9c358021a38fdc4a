/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef MESSAGE_H
#define MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct filter;
struct request;
struct session;

/*
 * A message on its way: from MAIL FROM over its recipients and its text to the
 * end of data, and to what smtpd makes of it then.  decide.h says what is
 * allowed.
 */

/* MAIL FROM, with the envelope sender as smtpd writes it: without <>. */
void message_from(struct request *, const char *sender);

/* RCPT TO */
void message_to(struct request *, const char *recipient);

/*
 * smtpd has taken a recipient or refused it, which then does not count.  Only
 * what it says of the one that was let through last is believed, and that once:
 * it does not report every recipient that it takes.
 */
void
message_recipient_settled(struct session *, const char *recipient, bool taken);

/* A line of the text, without its end; cheap once the header has passed. */
void message_line(struct filter *, struct session *, const char *, size_t);

/* A line is lost: the message must not go out without it. */
void message_damaged(struct session *);

/* The end of data. */
void message_end(struct request *);

/* smtpd has taken the message, of so many bytes, or has not. */
void message_taken(struct filter *, struct session *, uint64_t size);
void message_dropped(struct filter *, struct session *);

#endif /* MESSAGE_H */
