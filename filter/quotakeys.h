/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef QUOTAKEYS_H
#define QUOTAKEYS_H

#include "key.h"

struct conf;

/*
 * The keys of a call of scripts/functions/04-quota.lua, in the order that it has
 * them, and what it takes first behind them.
 */

#define QUOTA_KEYS 4

/* Whose charge it is. */
enum part_kind {
	PART_USER,
	PART_ACCOUNT,
	NPARTS
};

struct quota_keys {
	char text[QUOTA_KEYS][KEY_TEXT];
	char period[24]; /* of quotas, where a record has none */
};

/* The key of the record. */
void quotakeys_record(char[KEY_TEXT], const struct conf *, enum part_kind,
    const char *name);

void quotakeys_make(const struct conf *, enum part_kind, const char *name,
    const char *id, struct quota_keys *);

#endif /* QUOTAKEYS_H */
