/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef QUOTAREPLY_H
#define QUOTAREPLY_H

#include <stdbool.h>

#include "quota.h"

struct quota_part;
struct redisReply;

/* Reads the replies of scripts/functions/04h-reservations.lua. */

/*
 * Reads an element of a reply that is an array of texts, at most QUOTA_WORDS of
 * them.  False if it is no such array.
 */
bool quotareply_words(const struct redisReply *, struct quota_words *);

/*
 * Tells the events in a reply that is an array: behind the answer there is an
 * array of texts for each.  The account is "" if they are about the user.
 */
void quota_events(const struct quotas *, const char *user, const char *account,
    const struct redisReply *);

/*
 * Whether what is wrong with a key was not logged a while ago: the same may be
 * found with each message.
 */
bool quotareply_worth_logging(const struct quotas *, const char *key,
    const char *what);

/*
 * Handles the reply to one part of a question: writes the events in it, and
 * fills in the part's fields of the answer.  Returns what the part comes to.
 */
enum quota_result
quotareply_take(struct quota_part *, const struct redisReply *);

#endif /* QUOTAREPLY_H */
