/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#include "conf.h"
#include "id.h"
#include "quotakeys.h"

/* As users write periods, for the reply that names it. */
static void
format_period(int64_t seconds, char *buf, size_t size)
{
	if (seconds % 86400 == 0)
		snprintf(buf, size, "%" PRId64 "d", seconds / 86400);
	else if (seconds % 3600 == 0)
		snprintf(buf, size, "%" PRId64 "h", seconds / 3600);
	else
		snprintf(buf, size, "%" PRId64, seconds);
}

static void
make_key(char key[KEY_TEXT], const struct conf *conf, enum charged kind,
    const char *name, const char *part)
{
	if (kind == CHARGED_ACCOUNT)
		key_account(key, conf->prefix, name, part);
	else
		key_user(key, conf->prefix, name, part);
}

void
quotakeys_record(char key[KEY_TEXT], const struct conf *conf, enum charged kind,
    const char *name)
{
	make_key(key, conf, kind, name, "");
}

void
quotakeys_make(const struct conf *conf, enum charged kind, const char *name,
    const char *id, struct quota_keys *keys)
{
	char hold[sizeof("used:hold:") + ID_TEXT];

	snprintf(hold, sizeof(hold), "used:hold:%s", id);
	make_key(keys->text[0], conf, kind, name, "");
	make_key(keys->text[1], conf, kind, name, "used:quota");
	make_key(keys->text[2], conf, kind, name, "used:rate");
	make_key(keys->text[3], conf, kind, name, hold);
	format_period(conf->quota_period, keys->period, sizeof(keys->period));
}
