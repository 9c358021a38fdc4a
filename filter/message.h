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
 * Follows a message from MAIL FROM to the end of data, and until smtpd has
 * taken or dropped it.  decide.h says what is allowed.
 */

/* MAIL FROM, with the envelope sender as smtpd writes it: without <>. */
void message_from(struct request *, const char *sender);

/* RCPT TO */
void message_to(struct request *, const char *recipient);

/*
 * smtpd has taken or refused a recipient; a refused one does not count.  smtpd
 * does not report every recipient.  A report is used only if it names the
 * recipient passed last, and only once.
 */
void
message_recipient_settled(struct session *, const char *recipient, bool taken);

/* A line of the text, without its end.  Cheap behind the header. */
void message_line(struct filter *, struct session *, const char *, size_t);

/* A line was lost, so the message must be refused. */
void message_damaged(struct session *);

/* The end of data. */
void message_end(struct request *);

/* smtpd has taken the message, of so many bytes, or dropped it. */
void message_taken(struct filter *, struct session *, uint64_t size);
void message_dropped(struct filter *, struct session *);

#endif /* MESSAGE_H */
