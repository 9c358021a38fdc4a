/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "fakeredis.h"
#include "journal.h"
#include "log.h"
#include "servers.h"
#include "report.h"
#include "session.h"
#include "userlog.h"

static struct event_base  *base;
static struct fakeredis	   fake;
static struct servers	  *servers;
static struct journal	  *journal;
static struct reportids	  *ids;
static struct sessions	   sessions;
static struct session	  *s;
static struct unit_capture capture;

static int
set_up(void **state)
{
	static char url[] = "https://reports.example.net/";

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	log_init("unit");
	base = event_base_new();
	fakeredis_init(&fake, base);
	fake.conf.report_url = url;
	unit_capture(&capture);
	servers = servers_new(base, &fake.conf);
	assert_non_null(servers);
	journal = journal_new(base, servers);
	assert_non_null(journal);
	ids = reportids_new();
	assert_non_null(ids);
	s = session_open(&sessions, 0x123456789abc, "192.0.2.1:25");
	assert_non_null(s);
	assert_non_null(session_begin_tx(s, "a@two.example"));
	fakeredis_start(&fake);
	unit_run_until(base, servers_ready(servers));
	fakeredis_script(&fake, NULL, 0);
	return (0);
}

static int
tear_down(void **state)
{
	(void)state;
	unit_captured(&capture);
	session_close(&sessions, s);
	journal_free(journal);
	reportids_free(ids);
	servers_free(servers);
	fakeredis_free(&fake);
	event_base_free(base);
	return (0);
}

static void
take(const char *line)
{
	header_line(&s->tx->header, line, strlen(line));
}

static void
write_report(const char *user, enum reason reason, const char *domain,
    char id[REPORT_ID + 1])
{
	const struct report report = { .reason = reason,
		.user = user,
		.account = "acme",
		.domain = domain,
		.spf = "v=spf1 -all" };

	report_write(journal, ids, &fake.conf, s, &report, id);
}

static void
add_entry(const char *event, const char *result, const char *reply,
    const char *report, int64_t size)
{
	const struct userlog_entry entry = { event, result, reply, report,
		size };

	userlog_add(journal, "smtp:", s, "alice", &entry);
}

static void
test_report(void **state)
{
	char id[REPORT_ID + 1], text[512];

	(void)state;
	s->tx->msgid = 0xbeef;
	take("From: A <a@two.example>");
	take("Message-ID: <1@two.example>");
	write_report("alice", REASON_NOT_ASSIGNED, "two.example", id);
	assert_int_equal(strlen(id), 18);
	assert_int_equal(strspn(id, "0123456789"), 18);
	unit_run_until(base, fake.ncommands == 2);
	snprintf(text, sizeof(text), "HSET smtp:report:{%s} time 20", id);
	assert_contains(fake.log, text);
	assert_contains(fake.log, "Z relay ");
	assert_contains(fake.log,
	    " user alice account acme reason "
	    "domain-not-assigned domain two.example spf v=spf1 -all envelope_sender "
	    "a@two.example from  A <a@two.example> source 192.0.2.1 "
	    "message_id <1@two.example> message 0000beef\n");
	snprintf(text, sizeof(text), "\nEXPIRE smtp:report:{%s} 2592000\n", id);
	assert_contains(fake.log, text);
}

/* The user is gone: what is known is still told. */
static void
test_report_least(void **state)
{
	const struct report report = { .reason = REASON_USER, .user = "alice" };
	char		    id[REPORT_ID + 1];

	(void)state;
	report_write(journal, ids, &fake.conf, s, &report, id);
	unit_run_until(base, fake.ncommands == 2);
	assert_contains(fake.log,
	    " user alice account  reason user domain  spf  "
	    "envelope_sender a@two.example from  source 192.0.2.1 "
	    "message_id  message \n");
}

static void
test_report_long_from(void **state)
{
	char id[REPORT_ID + 1], text[4096];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "From:", 5);
	header_line(&s->tx->header, text, sizeof(text));
	write_report("alice", REASON_FROM_AMBIGUOUS, NULL, id);
	unit_run_until(base, fake.ncommands == 2);
	text[5 + 1023] = '\0';
	assert_contains(fake.log, text + 5);
	text[5 + 1023] = 'x';
	text[5 + 1024] = '\0';
	assert_lacks(fake.log, text + 5);
}

/* A user who is blocked over and over. */
static void
test_too_many(void **state)
{
	char	     last[REPORT_ID + 1], id[REPORT_ID + 1];
	const time_t now = (time_t)(unit_now() / 1000);

	(void)state;
	while (reportids_draw(ids, "alice", now, last))
		continue;
	write_report("alice", REASON_USER, NULL, id);
	assert_string_equal(id, last);
	/* What comes behind shows that nothing came before it. */
	add_entry("login", "refused", NULL, NULL, -1);
	unit_run_until(base, fake.ncommands > 0);
	assert_int_equal(fake.ncommands, 1);
	/* Others have theirs. */
	write_report("bob", REASON_USER, NULL, id);
	unit_run_until(base, fake.ncommands == 3);
}

static void
test_reply(void **state)
{
	char buf[REPORT_REPLY];

	(void)state;
	assert_string_equal(report_reply(&fake.conf, "123", "alice", buf),
	    "550 5.7.1 [ACL] Blocked. See https://reports.example.net/"
	    "?id=123&auth=alice");
}

static void
test_login_entry(void **state)
{
	(void)state;
	add_entry("login", "refused", "535 no", NULL, -1);
	unit_run_until(base, fake.ncommands == 1);
	assert_string_equal(fake.log,
	    "XADD smtp:user:{alice}:failed MAXLEN ~ "
	    "1000 * event login result refused reply 535 no source 192.0.2.1 "
	    "session 0000123456789abc\n");
	add_entry("login", "accepted", NULL, NULL, -1);
	unit_run_until(base, fake.ncommands == 3);
	assert_contains(fake.log, "\nXADD smtp:user:{alice}:log MAXLEN ");
}

static void
test_message_entry(void **state)
{
	(void)state;
	s->tx->recipients = 3;
	s->tx->msgid = 0xbeef;
	take("Message-ID: <1@two.example>");
	add_entry("message", "accepted", NULL, NULL, 1234);
	unit_run_until(base, fake.ncommands == 2);
	assert_contains(fake.log,
	    " event message result accepted source "
	    "192.0.2.1 session 0000123456789abc message 0000beef sender "
	    "a@two.example recipients 3 message_id <1@two.example> "
	    "size 1234\nHSET smtp:user:{alice}:last message 2");
}

static void
test_blocked_entry(void **state)
{
	(void)state;
	assert_non_null(session_begin_tx(s, ""));
	add_entry("message", "refused", "550 no", "42", -1);
	unit_run_until(base, fake.ncommands == 1);
	assert_contains(fake.log,
	    " reply 550 no source 192.0.2.1 session "
	    "0000123456789abc sender <> recipients 0 report 42\n");
}

/* An empty message has a size, and a session may have no message. */
static void
test_bare_entry(void **state)
{
	(void)state;
	session_end_tx(s);
	add_entry("message", "failed", "", "", 0);
	unit_run_until(base, fake.ncommands == 1);
	assert_contains(fake.log,
	    " * event message result failed source "
	    "192.0.2.1 session 0000123456789abc size 0\n");
}

#define test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = { test(test_report),
		test(test_report_least), test(test_report_long_from),
		test(test_too_many), test(test_reply), test(test_login_entry),
		test(test_message_entry), test(test_blocked_entry),
		test(test_bare_entry) };

	return (cmocka_run_group_tests_name("report", tests, NULL, NULL));
}
