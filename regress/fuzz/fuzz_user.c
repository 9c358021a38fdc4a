/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * What Redis may send in answer to the questions about a user: three replies,
 * the fields, the sources and the account, as hiredis reads them.
 */

#include <hiredis/hiredis.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "period.h"
#include "user.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* What the other files rely on for every user that parses. */
static void
check(const struct user *user)
{
	char   folded[USER_NAME_MAX + 1];
	size_t i;

	CHECK(memchr(user->password, '\0', sizeof(user->password)) != NULL);
	CHECK(strpbrk(user->password, " :\n") == NULL);
	CHECK(user->account[0] == '\0' ||
	    (user_fold_name(user->account, folded) &&
		strcmp(user->account, folded) == 0));
	CHECK(user->quota >= 0);
	CHECK(user->quota_period > 0 && user->quota_period <= PERIOD_MAX);
	CHECK(user->nrates <= USER_RATES_MAX);
	for (i = 0; i < user->nrates; i++)
		CHECK(user->rates[i].n > 0 && user->rates[i].period > 0 &&
		    user->rates[i].period <= PERIOD_MAX);
	CHECK(user->ip_auth.bits == user->ip_auth.len * 8);
	CHECK(!user->any_source || user->sources.n == 0);
}

static void
check_account(struct user *user, const redisReply *reply)
{
	enum user_status before = user->status;
	const char	*bad = user_parse_account(user, reply);

	if (bad != NULL)
		CHECK(bad[0] != '\0');
	else if (before == STATUS_BLOCKED)
		CHECK(!user_active(user));
	else if (before == STATUS_SANDBOXED)
		CHECK(user->status != STATUS_ALLOWED);
}

static void
parse(const redisReply *fields, const redisReply *sources,
    const redisReply *account)
{
	static const struct netaddr none;
	struct user		    user;
	bool			    exists;
	const char		   *bad;

	memset(&user, 0, sizeof(user));
	user.quota_period = 86400;
	bad = user_parse(&user, &exists, fields, sources);
	if (bad == NULL) {
		check(&user);
		CHECK(user_allows_source(&user, &none) == user.any_source);
		CHECK(user.any_source == (sources->elements == 0));
		check_account(&user, account);
	} else
		CHECK(bad[0] != '\0');
	user_clear(&user);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	redisReader *reader = redisReaderCreate();
	void	    *replies[3] = { NULL, NULL, NULL };
	size_t	     n = 0, i;

	CHECK(reader != NULL);
	reader->maxelements = 4096;
	if (redisReaderFeed(reader, (const char *)data, size) == REDIS_OK)
		while (n < 3 &&
		    redisReaderGetReply(reader, &replies[n]) == REDIS_OK &&
		    replies[n] != NULL)
			n++;
	if (n == 3)
		parse(replies[0], replies[1], replies[2]);
	for (i = 0; i < 3; i++)
		if (replies[i] != NULL)
			freeReplyObject(replies[i]);
	redisReaderFree(reader);
	return (0);
}
