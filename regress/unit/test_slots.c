/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <hiredis/hiredis.h>
#include <string.h>

#include "unit.h"

#include "slots.h"

static const struct place from = { REDIS_TLS, "node1.example.net", 6379 };

/* What CLUSTER KEYSLOT says of these. */
static void
test_keys(void **state)
{
	static const struct {
		const char *key;
		int	    slot;
	} cases[] = { { "123456789", 12739 }, { "", 0 }, { "foo", 12182 },
		{ "{foo}", 12182 }, { "smtp:user:{foo}:ips", 12182 },
		{ "{foo}{bar}", 12182 }, { "a}{foo}", 12182 },
		{ "{}foo", 9500 }, { "foo{", 7673 },
		{ "foo{{bar}}zap", 4015 } };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (slots_of_key(cases[i].key) != cases[i].slot)
			fail_msg("%s: %d", cases[i].key,
			    slots_of_key(cases[i].key));
}

static struct redirect
read_error(const char *text)
{
	redisReply reply = { .type = REDIS_REPLY_ERROR,
		.str = (char *)(uintptr_t)text,
		.len = strlen(text) };

	return (slots_redirect(&reply, &from));
}

static void
test_places(void **state)
{
	static const struct {
		const char	  *text;
		enum redirect_kind kind;
		int		   slot;
		const char	  *host;
		int		   port;
	} cases[] = { { "MOVED 3999 127.0.0.1:6381", REDIRECT_MOVED, 3999,
			  "127.0.0.1", 6381 },
		{ "ASK 16383 ::1:1", REDIRECT_ASK, 16383, "::1", 1 },
		{ "MOVED 0 :6380", REDIRECT_MOVED, 0, "node1.example.net",
		    6380 },
		{ "MOVED 1 b.example:65535", REDIRECT_MOVED, 1, "b.example",
		    65535 } };
	struct redirect r;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		r = read_error(cases[i].text);
		assert_int_equal(r.kind, cases[i].kind);
		assert_int_equal(r.slot, cases[i].slot);
		assert_string_equal(r.place.host, cases[i].host);
		assert_int_equal(r.place.port, cases[i].port);
		assert_int_equal(r.place.transport, REDIS_TLS);
	}
}

/* Of what names no place, the map has to tell. */
static void
test_no_places(void **state)
{
	static const char *const later[] = { "MOVED 1 ?:6379", "MOVED 1 h:0",
		"MOVED 1 h:65536", "MOVED 1 h", "MOVED 16384 h:1",
		"MOVED -1 h:1", "MOVED x h:1", "MOVED 1", "ASK ",
		"TRYAGAIN Multiple keys", "CLUSTERDOWN Hash slot not served" };
	static const char *const none[] = { "ERR MOVED", "MOVEDX 1 h:1",
		"NOPERM", "LOADING", "" };
	char			 text[400];
	size_t			 i;

	(void)state;
	for (i = 0; i < sizeof(later) / sizeof(later[0]); i++)
		assert_int_equal(read_error(later[i]).kind, REDIRECT_LATER);
	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(read_error(none[i]).kind, REDIRECT_NONE);
	assert_int_equal(read_error("READONLY You can't").kind, REDIRECT_LEAVE);
	assert_int_equal(read_error("MASTERDOWN Link").kind, REDIRECT_LEAVE);
	snprintf(text, sizeof(text), "MOVED 1 %0300d:1", 0);
	assert_int_equal(read_error(text).kind, REDIRECT_LATER);
	assert_int_equal(slots_redirect(NULL, &from).kind, REDIRECT_NONE);
}

static char ranges[512];

static void
on_range(void *arg, uint16_t first, uint16_t last, const struct place *place)
{
	const size_t len = strlen(ranges);

	assert_ptr_equal(arg, ranges);
	assert_int_equal(place->transport, REDIS_TLS);
	snprintf(ranges + len, sizeof(ranges) - len, "%d-%d %s:%d\n", first,
	    last, place->host, place->port);
}

static bool
read_map(const char *text)
{
	redisReader *reader = redisReaderCreate();
	void	    *reply = NULL;
	bool	     ok;

	ranges[0] = '\0';
	redisReaderFeed(reader, text, strlen(text));
	assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
	assert_non_null(reply);
	ok = slots_read(reply, &from, on_range, ranges);
	freeReplyObject(reply);
	redisReaderFree(reader);
	return (ok);
}

#define NODE(host, port) "*3\r\n" host ":" #port "\r\n$2\r\nid\r\n"
#define RANGE(first, last, node) \
	"*4\r\n:" #first "\r\n:" #last "\r\n" node NODE("$1\r\nr\r\n", 9)

static void
test_map(void **state)
{
	(void)state;
	assert_true(read_map("*3\r\n" RANGE(0, 5460, NODE("$1\r\na\r\n", 1))
		RANGE(5461, 5461, NODE("$-1\r\n", 2))
		    RANGE(5462, 16383, NODE("$3\r\n::1\r\n", 3))));
	assert_string_equal(ranges,
	    "0-5460 a:1\n5461-5461 node1.example.net:2\n5462-16383 ::1:3\n");
	assert_true(read_map("*0\r\n"));
	/* Where it is, is not known: nobody has these. */
	assert_true(read_map("*1\r\n" RANGE(0, 1, NODE("$1\r\n?\r\n", 1))));
	assert_true(read_map("*1\r\n" RANGE(0, 1, NODE("$1\r\na\r\n", 0))));
	assert_true(read_map("*1\r\n" RANGE(0, 1, "*1\r\n$1\r\na\r\n")));
	assert_string_equal(ranges, "");
	assert_false(read_map("+OK\r\n"));
	assert_false(read_map("*1\r\n:1\r\n"));
	assert_false(read_map("*1\r\n*2\r\n:0\r\n:1\r\n"));
	assert_false(read_map("*1\r\n" RANGE(0, 16384,
	    NODE("$1\r\na\r\n", 1))));
	assert_false(read_map("*1\r\n" RANGE(-1, 1, NODE("$1\r\na\r\n", 1))));
	assert_false(slots_read(NULL, &from, on_range, ranges));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_keys),
		cmocka_unit_test(test_places), cmocka_unit_test(test_no_places),
		cmocka_unit_test(test_map) };

	return (cmocka_run_group_tests_name("slots", tests, NULL, NULL));
}
