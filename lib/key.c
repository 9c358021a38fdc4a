/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <sys/types.h>

#include <bsd/string.h>
#include <stdio.h>
#include <string.h>

#include "key.h"

/* Every lookup makes keys: printf(3) would be much of what one costs. */
const char *
key_of_kind(char buf[KEY_TEXT], const char *prefix, const char *kind,
    const char *name, const char *part)
{
	const char *const texts[] = { prefix, kind, ":{", name, "}",
		part[0] != '\0' ? ":" : "", part };
	size_t		  i, n, len = 0;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		n = strnlen(texts[i], KEY_TEXT - 1 - len);
		memcpy(buf + len, texts[i], n);
		len += n;
	}
	buf[len] = '\0';
	return (buf);
}

const char *
key_user(char buf[KEY_TEXT], const char *prefix, const char *name,
    const char *part)
{
	return (key_of_kind(buf, prefix, "user", name, part));
}

const char *
key_account(char buf[KEY_TEXT], const char *prefix, const char *name,
    const char *part)
{
	return (key_of_kind(buf, prefix, "account", name, part));
}

bool
key_read(const char *key, char name[KEY_TEXT])
{
	static const char account[] = "account:";
	const size_t	  len = sizeof(account) - 1;
	const char	 *open = strrchr(key, '{');

	name[0] = '\0';
	if (open == NULL)
		return (false);
	strlcpy(name, open + 1, KEY_TEXT);
	name[strcspn(name, "}")] = '\0';
	return ((size_t)(open - key) >= len &&
	    strncmp(open - len, account, len) == 0);
}

const char *
key_address(char buf[KEY_TEXT], const char *prefix, const struct netaddr *na)
{
	char addr[NETADDR_TEXT];

	return (key_of_kind(buf, prefix, "ip", netaddr_text(na, addr), ""));
}

const char *
key_failures(char buf[KEY_TEXT], const char *prefix, const struct netaddr *na,
    const char *part)
{
	char addr[NETADDR_TEXT];

	return (key_of_kind(buf, prefix, "failures", netaddr_text(na, addr),
	    part));
}

const char *
key_report(char buf[KEY_TEXT], const char *prefix, const char *id)
{
	return (key_of_kind(buf, prefix, "report", id, ""));
}

const char *
key_relay(char buf[KEY_TEXT], const char *prefix, const char *host,
    const char *program)
{
	return (key_of_kind(buf, prefix, "relay", host, program));
}

const char *
key_relays(char buf[KEY_TEXT], const char *prefix)
{
	snprintf(buf, KEY_TEXT, "%srelays", prefix);
	return (buf);
}

const char *
key_events(char buf[KEY_TEXT], const char *prefix)
{
	snprintf(buf, KEY_TEXT, "%sevents", prefix);
	return (buf);
}

const char *
key_stats(char buf[KEY_TEXT], const char *prefix, time_t when)
{
	char	  hour[sizeof("2026-11-21T08")] = "";
	struct tm tm;

	if (gmtime_r(&when, &tm) != NULL)
		strftime(hour, sizeof(hour), "%Y-%m-%dT%H", &tm);
	return (key_of_kind(buf, prefix, "stats", hour, ""));
}
