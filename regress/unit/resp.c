/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <string.h>

#include "resp.h"
#include "unit.h"

static char *
next_buffer(void)
{
	static char bufs[8][RESP_TEXT];
	static int  turn;

	turn = (turn + 1) % 8;
	return (bufs[turn]);
}

static size_t
add_string(char *buf, size_t n, const char *text)
{
	size_t size = RESP_TEXT - n;

	if (text == NULL)
		n += (size_t)snprintf(buf + n, size, "$-1\r\n");
	else
		n += (size_t)snprintf(buf + n, size, "$%zu\r\n%s\r\n",
		    strlen(text), text);
	assert_true(n < RESP_TEXT);
	return (n);
}

const char *
resp_string(const char *text)
{
	char *buf = next_buffer();

	add_string(buf, 0, text);
	return (buf);
}

const char *
resp_array(const char *const *texts, size_t n)
{
	char  *buf = next_buffer();
	size_t len, i;

	len = (size_t)snprintf(buf, RESP_TEXT, "*%zu\r\n", n);
	for (i = 0; i < n; i++)
		len = add_string(buf, len, texts[i]);
	return (buf);
}

redisReply *
resp_read(const char *bytes, size_t len)
{
	redisReader *reader = redisReaderCreate();
	void	    *reply;

	assert_non_null(reader);
	assert_int_equal(redisReaderFeed(reader, bytes, len), REDIS_OK);
	assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
	assert_non_null(reply);
	redisReaderFree(reader);
	return (reply);
}
