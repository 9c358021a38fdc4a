/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "redisread.h"
#include "unit.h"

static struct redisread *reader;

static int
set_up(void **state)
{
	(void)state;
	reader = redisread_new();
	return (reader == NULL ? -1 : 0);
}

static int
tear_down(void **state)
{
	(void)state;
	redisread_free(reader);
	return (0);
}

/* What is fed at once is never more than there is room for. */
static void
feed(const char *bytes, size_t len)
{
	size_t room;
	char  *buf = redisread_room(reader, &room);

	assert_non_null(buf);
	assert_true(len <= room);
	memcpy(buf, bytes, len);
	redisread_take(reader, len);
}

static enum redisread_status
next(const redisReply **reply)
{
	return (redisread_next(reader, reply));
}

static void
check_same(const redisReply *a, const redisReply *b)
{
	size_t i;

	assert_int_equal(a->type, b->type);
	assert_int_equal(a->integer, b->integer);
	assert_int_equal(a->len, b->len);
	if (b->str != NULL) {
		assert_memory_equal(a->str, b->str, b->len);
		assert_int_equal(a->str[a->len], '\0');
	}
	assert_int_equal(a->elements, b->elements);
	for (i = 0; i < b->elements; i++)
		check_same(a->element[i], b->element[i]);
}

static const char *const replies[] = { "+OK\r\n", "+\r\n", "-ERR no\r\n",
	":0\r\n", ":-1\r\n", ":9223372036854775807\r\n",
	":-9223372036854775808\r\n", "$0\r\n\r\n", "$-1\r\n",
	"$5\r\na\r\nbc\r\n", "*-1\r\n", "*0\r\n", "*1\r\n*0\r\n",
	"*3\r\n$1\r\na\r\n$-1\r\n:5\r\n",
	"*2\r\n*2\r\n+a\r\n-b\r\n*1\r\n*1\r\n$2\r\nxy\r\n" };

#define NREPLIES (sizeof(replies) / sizeof(replies[0]))

/* As hiredis reads them, a byte at a time as well as at once. */
static void
test_as_hiredis_does(void **state)
{
	redisReader	 *theirs = redisReaderCreate();
	const redisReply *ours;
	void		 *want;
	size_t		  i, k, len;

	(void)state;
	for (i = 0; i < NREPLIES; i++) {
		len = strlen(replies[i]);
		redisReaderFeed(theirs, replies[i], len);
		assert_int_equal(redisReaderGetReply(theirs, &want), REDIS_OK);
		assert_non_null(want);
		for (k = 0; k < len - 1; k++) {
			feed(replies[i] + k, 1);
			assert_int_equal(next(&ours), REDISREAD_MORE);
			assert_true(redisread_begun(reader));
		}
		feed(replies[i] + k, 1);
		assert_int_equal(next(&ours), REDISREAD_REPLY);
		check_same(ours, want);
		assert_int_equal(next(&ours), REDISREAD_MORE);
		assert_false(redisread_begun(reader));
		freeReplyObject(want);
	}
	redisReaderFree(theirs);
}

static void
test_many_at_once(void **state)
{
	const redisReply *ours;
	size_t		  i;

	(void)state;
	for (i = 0; i < NREPLIES; i++)
		feed(replies[i], strlen(replies[i]));
	for (i = 0; i < NREPLIES; i++)
		assert_int_equal(next(&ours), REDISREAD_REPLY);
	assert_int_equal(ours->elements, 2);
	assert_int_equal(next(&ours), REDISREAD_MORE);
}

static void
test_broken(void **state)
{
	static const char *const cases[] = { "\r\n", "?\r\n", "OK\r\n", ":\r\n",
		":x\r\n", ":-\r\n", ":1x\r\n", ":1\r2\r\n", "$1\r2\r\n",
		":9223372036854775808\r\n", ":-9223372036854775809\r\n",
		"$\r\n", "$-2\r\n", "$99999999999999999999\r\n",
		"$1000000000\r\n", "*-2\r\n", "*4097\r\n", "*2\r\n*4096\r\n",
		"$1\r\nabc", "+a\n",
		/* RESP3, and its pushes. */
		">1\r\n+a\r\n", "%1\r\n", "_\r\n", "#t\r\n", ",1.5\r\n",
		"(123\r\n", "=4\r\ntxt:\r\n", "~1\r\n", "|1\r\n", "!1\r\n",
		/* Nested too deeply. */
		"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n" };
	const redisReply	*ours;
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		redisread_free(reader);
		reader = redisread_new();
		feed(cases[i], strlen(cases[i]));
		assert_int_equal(next(&ours), REDISREAD_BROKEN);
	}
}

/* A line without an end is none. */
static void
test_long_line(void **state)
{
	static const char junk[4096] = "+";
	const redisReply *ours;
	size_t		  n = 0;

	(void)state;
	do {
		feed(junk, sizeof(junk));
		n += sizeof(junk);
	} while (next(&ours) == REDISREAD_MORE && n < 1 << 20);
	assert_in_range(n, 1, 128 << 10);
}

/* Feeds n bytes of a value; no buffer may become much larger than one reply. */
static void
feed_value(size_t n)
{
	static char	  text[8192];
	const redisReply *ours;
	size_t		  part, room = 0;

	memset(text, 'x', sizeof(text));
	for (; n > 0; n -= part) {
		part = n < sizeof(text) ? n : sizeof(text);
		feed(text, part);
		assert_int_equal(next(&ours), REDISREAD_MORE);
		redisread_room(reader, &room);
		assert_in_range(room, 1, 4 * REDISREAD_MAX);
	}
}

static void
check_too_large(const redisReply *reply)
{
	assert_int_equal(reply->type, REDIS_REPLY_ERROR);
	assert_memory_equal(reply->str, REDIS_TOO_LARGE,
	    strlen(REDIS_TOO_LARGE));
	assert_int_equal(reply->len, strlen(reply->str));
}

static void
test_largest(void **state)
{
	const redisReply *ours;

	(void)state;
	feed("$1000000\r\n", 10);
	feed_value(1000000);
	feed("\r\n", 2);
	assert_int_equal(next(&ours), REDISREAD_REPLY);
	assert_int_equal(ours->len, 1000000);
}

/* The one that is too large fails; what comes before and behind is read. */
static void
test_too_large(void **state)
{
	static const char head[] = ":1\r\n*3\r\n$1\r\na\r\n$40000000\r\n";
	const redisReply *ours;

	(void)state;
	feed(head, strlen(head));
	assert_int_equal(next(&ours), REDISREAD_REPLY);
	assert_int_equal(ours->integer, 1);
	assert_int_equal(next(&ours), REDISREAD_MORE);
	assert_true(redisread_skipping(reader));
	feed_value(40000000);
	feed("\r\n", 2);
	assert_int_equal(next(&ours), REDISREAD_MORE);
	feed("$1\r\nb\r\n:2\r\n", 11);
	assert_int_equal(next(&ours), REDISREAD_REPLY);
	check_too_large(ours);
	assert_false(redisread_skipping(reader));
	assert_int_equal(next(&ours), REDISREAD_REPLY);
	assert_int_equal(ours->integer, 2);
	assert_int_equal(next(&ours), REDISREAD_MORE);
}

/* So does one of many values, none of which is. */
static void
test_too_much(void **state)
{
	const redisReply *ours;
	int		  i;

	(void)state;
	feed("*20\r\n", 5);
	for (i = 0; i < 20; i++) {
		feed("$100000\r\n", 9);
		feed_value(100000);
		feed("\r\n", 2);
	}
	feed("+OK\r\n", 5);
	assert_int_equal(next(&ours), REDISREAD_REPLY);
	check_too_large(ours);
	assert_int_equal(next(&ours), REDISREAD_REPLY);
	assert_int_equal(ours->type, REDIS_REPLY_STATUS);
}

/* Nothing of a reply is left where it was, whatever way it went. */
static void
test_wiped(void **state)
{
	static const char secret[] = "$6$salt$secret";
	const redisReply *ours;
	char		 *buf;
	size_t		  room, i;

	(void)state;
	for (i = 0; i < 3; i++)
		feed("*2\r\n$14\r\n$6$salt$secret\r\n:1\r\n", 29);
	feed("*2\r\n$14\r\n$6$salt$secret\r\n", 25);
	for (i = 0; i < 3; i++)
		assert_int_equal(next(&ours), REDISREAD_REPLY);
	assert_int_equal(next(&ours), REDISREAD_MORE);
	buf = redisread_room(reader, &room);
	assert_null(memmem(buf, room, secret, sizeof(secret) - 1));
	feed(":1\r\n", 4);
	assert_int_equal(next(&ours), REDISREAD_REPLY);
	assert_string_equal(ours->element[0]->str, secret);
	assert_int_equal(next(&ours), REDISREAD_MORE);
	buf = redisread_room(reader, &room);
	assert_null(memmem(buf, room, secret, sizeof(secret) - 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(test_as_hiredis_does), TEST(test_many_at_once),
		TEST(test_broken), TEST(test_long_line), TEST(test_largest),
		TEST(test_too_large), TEST(test_too_much), TEST(test_wiped)
	};

	return (cmocka_run_group_tests_name("redisread", tests, NULL, NULL));
}
