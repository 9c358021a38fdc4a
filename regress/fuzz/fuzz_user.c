/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

/*
 * What Redis may send in answer to the questions about a user: three replies,
 * the record, the list of sources and the account, as hiredis reads them.
 */

#include <hiredis/hiredis.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "user.h"

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* What the other files rely on for every user that parses. */
static void
check_record(const redisReply *reply)
{
	char	    folded[USER_NAME_MAX + 1];
	struct user user;
	bool	    exists = false;
	const char *bad;

	memset(&user, 0, sizeof(user));
	if ((bad = user_parse(&user, &exists, reply, USER_WHOLE)) != NULL) {
		CHECK(bad[0] != '\0');
		return;
	}
	CHECK(memchr(user.password, '\0', sizeof(user.password)) != NULL);
	CHECK(strpbrk(user.password, " :\n") == NULL);
	CHECK(user.account[0] == '\0' ||
	    (user_fold_name(user.account, folded) &&
		strcmp(user.account, folded) == 0));
	CHECK(user.ip_auth.bits == user.ip_auth.len * 8);
	/* A record says nothing of these. */
	CHECK(!user.pro && user.assigned == 0 && user.in_account == 0);
	CHECK(!user_source_allowed(&user));
	user_clear(&user);
}

static enum user_source
judge(const redisReply *reply, const struct netaddr *source)
{
	struct user user;
	const char *bad;

	memset(&user, 0, sizeof(user));
	user.source = SOURCE_LISTED;
	if ((bad = user_parse_list(&user, reply, source)) != NULL) {
		CHECK(bad[0] != '\0');
		CHECK(user.source == SOURCE_UNASKED);
	}
	return (user.source);
}

/* Whether an entry, read by itself, holds the source. */
static bool
holds(const redisReply *entry, const struct netaddr *source)
{
	struct netaddr range;

	return (entry->type == REDIS_REPLY_STRING &&
	    strlen(entry->str) == entry->len &&
	    netaddr_parse_range(entry->str, &range) &&
	    netaddr_covers(&range, source));
}

static void
check_source(const redisReply *reply, const struct netaddr *source)
{
	enum user_source want = SOURCE_UNLISTED;
	size_t		 i;

	if (reply->elements == 0)
		want = SOURCE_ANY;
	for (i = 0; i < reply->elements; i++)
		/* No address is so long. */
		if (reply->element[i]->len < 1024 &&
		    holds(reply->element[i], source))
			want = SOURCE_LISTED;
	CHECK(judge(reply, source) == want);
}

/* For a source that is none, one of nobody, and each that is listed. */
static void
check_list(const redisReply *reply)
{
	static const struct netaddr none;
	struct netaddr		    na;
	size_t			    i;

	if (reply->type != REDIS_REPLY_ARRAY ||
	    reply->elements > USER_SHORT_LIST) {
		CHECK(judge(reply, &none) == SOURCE_UNASKED);
		return;
	}
	check_source(reply, &none);
	netaddr_parse("192.0.2.1", &na);
	check_source(reply, &na);
	for (i = 0; i < reply->elements; i++)
		if (reply->element[i]->type == REDIS_REPLY_STRING &&
		    netaddr_parse_range(reply->element[i]->str, &na)) {
			na.bits = na.len * 8;
			check_source(reply, &na);
		}
}

static void
check_account(const redisReply *reply, enum user_status before)
{
	struct user    user;
	struct account account;
	const char    *bad;

	memset(&user, 0, sizeof(user));
	memset(&account, 0, sizeof(account));
	user.status = before;
	if ((bad = account_parse(&account, reply, USER_WHOLE)) != NULL) {
		CHECK(bad[0] != '\0' && !account.pro);
		return;
	}
	CHECK(!account.missing || account.status == STATUS_BLOCKED);
	user_take_account(&user, &account);
	CHECK(user_active(&user) || before == STATUS_BLOCKED ||
	    account.status == STATUS_BLOCKED || account.prefix[0] != '\0');
	if (before == STATUS_BLOCKED)
		CHECK(!user_active(&user));
	if (before == STATUS_SANDBOXED)
		CHECK(user.status != STATUS_ALLOWED);
}

static void
check(const redisReply *record, const redisReply *list,
    const redisReply *account)
{
	check_record(record);
	check_list(list);
	check_account(account, STATUS_ALLOWED);
	check_account(account, STATUS_SANDBOXED);
	check_account(account, STATUS_BLOCKED);
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
		check(replies[0], replies[1], replies[2]);
	for (i = 0; i < 3; i++)
		if (replies[i] != NULL)
			freeReplyObject(replies[i]);
	redisReaderFree(reader);
	return (0);
}
