/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#ifndef QUOTAKEYS_H
#define QUOTAKEYS_H

#include "key.h"

struct conf;

/*
 * The keys of a call of scripts/functions/04h-reservations.lua, in its order,
 * and the first argument behind them.
 */

#define QUOTA_KEYS 4

/* Whose charge it is. */
enum charged {
	CHARGED_USER,
	CHARGED_ACCOUNT,
	NCHARGED
};

struct quota_keys {
	char text[QUOTA_KEYS][KEY_TEXT];
	char period[24]; /* quota_period of the configuration */
};

/* Writes the key of the record of the user or the account. */
void quotakeys_record(char[KEY_TEXT], const struct conf *, enum charged,
    const char *name);

/* Writes the keys, and the argument, of a call about a reservation. */
void quotakeys_make(const struct conf *, enum charged, const char *name,
    const char *id, struct quota_keys *);

#endif /* QUOTAKEYS_H */
