/*
 * Copyright (c) 2026 The smtpusers authors
 * See LICENSE.
 */

#include <bsd/string.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "fakeredis.h"
#include "log.h"
#include "servers.h"
#include "report.h"
#include "session.h"
#include "userlog.h"
#include "writequeue.h"

static struct event_base   *base;
static struct fakeredis	    fake;
static struct servers	   *servers;
static struct writequeue   *writequeue;
static struct reports	    reports;
static struct report_query *query;
static char		    told[REPORT_ID + 1]; /* "": it is not there */
static int		    calls;
static struct sessions	    sessions;
static struct session	   *s;
static struct unit_capture  capture;

static const char *const ok[] = { ":12\r\n", ":1\r\n" };

static int
set_up(void **state)
{
	static char url[] = "https://reports.example.net/", relay[] = "mx1";

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	log_init("unit");
	base = event_base_new();
	fakeredis_init(&fake, base);
	fake.conf.relay_name = relay;
	fake.conf.report_url = url;
	unit_capture(&capture);
	servers = servers_new(base, &fake.conf);
	assert_non_null(servers);
	writequeue = writequeue_new(base, servers);
	assert_non_null(writequeue);
	reports.conf = &fake.conf;
	reports.servers = servers;
	reports.writequeue = writequeue;
	reports.ids = reportids_new();
	assert_non_null(reports.ids);
	calls = 0;
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
	writequeue_free(writequeue);
	reportids_free(reports.ids);
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
on_reported(void *arg, const char *id)
{
	(void)arg;
	calls++;
	strlcpy(told, id != NULL ? id : "", sizeof(told));
}

static void
begin_report(const char *user, enum reason reason, const char *domain)
{
	const struct report report = { .reason = reason,
		.user = user,
		.account = "acme",
		.domain = domain,
		.spf = "v=spf1 -all" };

	report_write(&reports, s, &report, on_reported, NULL, &query);
}

/* Writes one, and waits until it can be told of. */
static void
write_report(const char *user, enum reason reason, const char *domain)
{
	int before = calls;

	begin_report(user, reason, domain);
	unit_run_until(base, calls > before);
	assert_null(query);
}

static void
add_entry(const char *event, const char *result, const char *reply,
    const char *report, int64_t size)
{
	const struct userlog_entry entry = { .event = event,
		.result = result,
		.reply = reply,
		.report = report,
		.size = size };

	userlog_add(writequeue, "smtp:", s, "alice", &entry);
}

static void
test_report(void **state)
{
	char text[512];

	(void)state;
	fakeredis_script(&fake, ok, 2);
	s->tx->msgid = 0xbeef;
	take("From: A <a@two.example>");
	take("Message-ID: <1@two.example>");
	write_report("alice", REASON_DOMAIN_NOT_ASSIGNED, "two.example");
	assert_int_equal(strlen(told), 18);
	assert_int_equal(strspn(told, "0123456789"), 18);
	unit_run_until(base, fake.ncommands == 2);
	snprintf(text, sizeof(text), "HSET smtp:report:{%s} time 20", told);
	assert_contains(fake.log, text);
	assert_contains(fake.log, "Z relay mx1 ");
	assert_contains(fake.log,
	    " user alice account acme reason "
	    "domain-not-assigned domain two.example spf v=spf1 -all envelope_sender "
	    "a@two.example from  A <a@two.example> source 192.0.2.1 "
	    "message_id <1@two.example> msgid 0000beef\n");
	snprintf(text, sizeof(text), "\nEXPIRE smtp:report:{%s} 2592000\n",
	    told);
	assert_contains(fake.log, text);
}

/* The user is gone: what is known is still told. */
static void
test_report_least(void **state)
{
	const struct report report = { .reason = REASON_USER_CHANGED,
		.user = "alice" };

	(void)state;
	fakeredis_script(&fake, ok, 2);
	report_write(&reports, s, &report, on_reported, NULL, &query);
	unit_run_until(base, calls == 1);
	assert_contains(fake.log,
	    " user alice account  reason user-changed domain  spf  "
	    "envelope_sender a@two.example from  source 192.0.2.1 "
	    "message_id  msgid \n");
}

static void
test_report_long_from(void **state)
{
	char text[4096];

	(void)state;
	fakeredis_script(&fake, ok, 2);
	memset(text, 'x', sizeof(text));
	memcpy(text, "From:", 5);
	header_line(&s->tx->header, text, sizeof(text));
	write_report("alice", REASON_FROM_AMBIGUOUS, NULL);
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
	char	     last[REPORT_ID + 1];
	const time_t now = (time_t)(unit_now() / 1000);

	(void)state;
	while (reportids_draw(reports.ids, "alice", "acme", now, last))
		reportids_written(reports.ids, "alice", last);
	write_report("alice", REASON_USER_CHANGED, NULL);
	assert_string_equal(told, last);
	/* What comes behind shows that nothing came before it. */
	add_entry("login", "refused", NULL, NULL, -1);
	unit_run_until(base, fake.ncommands > 0);
	assert_int_equal(fake.ncommands, 1);
	/* Others have theirs. */
	fakeredis_script(&fake, ok, 2);
	write_report("bob", REASON_USER_CHANGED, NULL);
	unit_run_until(base, fake.ncommands == 2);
}

/* No report is named before it is there. */
static void
test_held(void **state)
{
	static const char *const hold[] = { FAKE_HOLD };

	(void)state;
	fakeredis_script(&fake, hold, 1);
	begin_report("alice", REASON_USER_CHANGED, NULL);
	unit_run_until(base, fake.ncommands == 1);
	assert_int_equal(calls, 0);
	assert_non_null(query);
	fakeredis_script(&fake, ok, 1);
	fakeredis_send(&fake, ":12\r\n", 5);
	unit_run_until(base, calls == 1);
	assert_int_equal(strlen(told), 18);
	unit_run_until(base, fake.ncommands == 1);
	assert_contains(fake.log, "EXPIRE smtp:report:{");
}

/* Redis refuses it: nothing is there that would have to go. */
static void
test_refused(void **state)
{
	static const char *const oom[] = { "-OOM command not allowed\r\n" };

	(void)state;
	fakeredis_script(&fake, oom, 1);
	write_report("alice", REASON_USER_CHANGED, NULL);
	assert_string_equal(told, "");
	assert_contains(fake.log, "HSET ");
	fakeredis_script(&fake, ok, 1);
	add_entry("login", "refused", NULL, NULL, -1);
	unit_run_until(base, fake.ncommands == 1);
	assert_contains(fake.log, "XADD ");
}

/* Its reply is lost: should it be there, it goes in its time. */
static void
test_lost(void **state)
{
	static const char *const lost[] = { FAKE_CLOSE };

	(void)state;
	fakeredis_script(&fake, lost, 1);
	write_report("alice", REASON_USER_CHANGED, NULL);
	assert_string_equal(told, "");
	fakeredis_script(&fake, ok, 1);
	unit_run_until(base, strstr(fake.log, "EXPIRE smtp:report:{") != NULL);
	fakeredis_hang_up(&fake);
	unit_run_until(base, !servers_ready(servers));
	write_report("alice", REASON_USER_CHANGED, NULL);
	assert_string_equal(told, "");
}

/* The client has left before it was there. */
static void
test_cancel(void **state)
{
	static const char *const hold[] = { FAKE_HOLD, ":1\r\n" };

	(void)state;
	fakeredis_script(&fake, hold, 2);
	begin_report("alice", REASON_USER_CHANGED, NULL);
	unit_run_until(base, fake.ncommands == 1);
	report_cancel(query);
	unit_run_until(base, fake.ncommands == 2);
	assert_contains(fake.log, "\nEXPIRE smtp:report:{");
	assert_int_equal(calls, 0);
}

static void
test_reply(void **state)
{
	char buf[REPORT_REPLY], name[USER_NAME_MAX + 1];

	(void)state;
	assert_string_equal(report_reply(&fake.conf, "123", "alice", buf),
	    "550 5.7.1 [ACL] Blocked. See https://reports.example.net/"
	    "?id=123&auth=alice");
	assert_string_equal(report_reply(&fake.conf, "1", "a.b_c-d+e+", buf),
	    "550 5.7.1 [ACL] Blocked. See https://reports.example.net/"
	    "?id=1&auth=a.b_c-d%2Be%2B");
	memset(name, '+', sizeof(name));
	name[USER_NAME_MAX] = '\0';
	report_reply(&fake.conf, "1", name, buf);
	assert_int_equal(strlen(strstr(buf, "auth=")), 5 + 3 * USER_NAME_MAX);
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
	    "192.0.2.1 session 0000123456789abc msgid 0000beef sender "
	    "a@two.example recipients 3 message_id <1@two.example> "
	    "size 1234\nHSET smtp:user:{alice}:last message 2");
}

/* A recipient that gets no mail, and how many there were of them. */
static void
test_recipient_entry(void **state)
{
	const struct userlog_entry entry = { .event = "recipient",
		.result = "refused",
		.reply = "550 no",
		.recipient = "b@three.example",
		.size = -1 };

	(void)state;
	s->tx->msgid = 0xbeef;
	s->tx->suppressed = 12;
	userlog_add(writequeue, "smtp:", s, "alice", &entry);
	unit_run_until(base, fake.ncommands == 1);
	assert_contains(fake.log,
	    "XADD smtp:user:{alice}:log MAXLEN ~ 1000 * event recipient result "
	    "refused reply 550 no source 192.0.2.1 session 0000123456789abc "
	    "msgid 0000beef sender a@two.example recipient "
	    "b@three.example\n");
	add_entry("message", "failed", NULL, NULL, -1);
	unit_run_until(base, fake.ncommands == 2);
	assert_contains(fake.log, " recipients 0 suppressed 12\n");
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
		test(test_too_many), test(test_held), test(test_refused),
		test(test_lost), test(test_cancel), test(test_reply),
		test(test_login_entry), test(test_message_entry),
		test(test_recipient_entry), test(test_blocked_entry),
		test(test_bare_entry) };

	return (cmocka_run_group_tests_name("report", tests, NULL, NULL));
}
