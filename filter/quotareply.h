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

/* What scripts/functions/04-quota.lua answers. */

/*
 * Reads an element of a reply that is an array of texts, as far as there is room
 * for them.  False where it is none.
 */
bool quota_words(const struct redisReply *, struct quota_words *);

/*
 * Takes the answer to a part of a question: tells the events behind it, and fills
 * in what the part knows of the answer.
 */
enum quota_result
quotareply_take(struct quota_part *, const struct redisReply *);

#endif /* QUOTAREPLY_H */
