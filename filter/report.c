/*
 * Copyright (c) 2026 The smtpusers authors
 *
 * Permission to use, copy, modify, and distribute this software for any
 * purpose with or without fee is hereby granted, provided that the above
 * copyright notice and this permission notice appear in all copies.
 *
 * THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
 * WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
 * MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
 * ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
 * WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
 * ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
 * OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf.h"
#include "report.h"

void
report_id(char id[REPORT_ID + 1])
{
	size_t	 i;

	for (i = 0; i < REPORT_ID; i++)
		id[i] = (char)('0' + arc4random_uniform(10));
	id[i] = '\0';
}

const char *
report_reply(const struct conf *conf, const char *id, const char *user,
    char buf[REPORT_REPLY])
{
	snprintf(buf, REPORT_REPLY, "550 5.7.1 [ACL] Blocked. See "
	    "%s?id=%s&auth=%s", conf->report_url, id, user);
	return (buf);
}
