# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Why messages are blocked, and the reports that are written of it."""

import re
import time

import pytest

from linedriver import FilterDriver
from nameserver import NameServer
from places import SOURCE, configuration, workdir
from reports import (OK, PASSWORD, REPORT_DAYS, blocked, entries, from_header,
                     log, message, never_arrives, report, report_id,
                     try_message)
from redisserver import wait_until
from session import Session

MAIL, END = "MAIL FROM", "end of data"
LATER = "451 4.3.0 Temporary failure"
GOOD = from_header("alice@example.org")


def header(*lines):
    return b"\r\n".join(line if isinstance(line, bytes) else line.encode()
                        for line in lines)


# Where it is said, the reason, the envelope sender, the header.
BLOCKS = {
    "assigned-envelope": (MAIL, "domain-not-assigned", "a@bank.test", GOOD),
    "assigned-header": (END, "domain-not-assigned", "alice@example.org",
                        from_header("a@bank.test")),
    "sender-bare": (MAIL, "sender-invalid", "root", GOOD),
    "literal-envelope": (MAIL, "address-literal", "a@[192.0.2.1]", GOOD),
    "literal-header": (END, "address-literal", "",
                       from_header("a@[192.0.2.1]")),
    "domain-envelope": (MAIL, "domain-invalid", "a@single", GOOD),
    "domain-header": (END, "domain-invalid", "", from_header("a@-b-.test")),
    "domain-stop": (END, "domain-invalid", "",
                    from_header("a@example\u3002org")),
    "domain-number": (END, "domain-invalid", "", from_header("a@127.0.0.1")),
    "missing": (END, "from-missing", "", "X-Other: a@example.org"),
    "missing-sender": (END, "from-missing", "alice@example.org",
                       "Sender: alice@example.org"),
    "multiple": (END, "from-multiple", "", header(GOOD, GOOD)),
    "multiple-cases": (END, "from-multiple", "", header(
        GOOD, "X: y", "FROM: a@bank.test")),
    "space": (END, "from-space", "", "From : <alice@example.org>"),
    "tab": (END, "from-space", "", header("From\t: a@bank.test", GOOD)),
    "long": (END, "from-too-long", "", header(
        "From: \"" + "x" * 900, *[" " + "y" * 900] * 10,
        " \" <alice@example.org>")),
    "ambiguous-angles": (END, "from-ambiguous", "",
                         "From: <a@bank.test> <alice@example.org>"),
    "ambiguous-route": (END, "from-ambiguous", "",
                        "From: <@bank.test:alice@example.org>"),
    "ambiguous-quote": (END, "from-ambiguous", "",
                        'From: "a\\" <a@bank.test>" <alice@example.org>'),
    "encoded": (END, "from-encoded", "",
                "From: =?utf-8?q?a=40bank.test?=@example.org"),
    "encoded-domain": (END, "domain-not-assigned", "",
                       "From: =?utf-8?q?a=40bank.test?= <alice@example.org>"),
    "empty": (END, "from-address", "", "From:"),
    "no-domain": (END, "from-address", "", "From: root (Cron Daemon)"),
    "completed": (END, "from-address", "",
                  'From: "a\\"" <alice@example.org> ("root)'),
    "comma": (END, "from-comma", "",
              "From: Pat O'Brien, Inc. <alice@example.org>"),
    "comma-encoded": (END, "from-comma", "",
                      "From: =?utf-8?q?Smith,_A?= <alice@example.org>"),
    "fields": (END, "from-fields", "",
               "From: Alice <alice@example.org>\r\n Reply-To: a@bank.test"),
    "ulabel": (END, "from-ulabel", "",
               header("From: alice@b\xfccher.test".encode())),
    "field-name": (END, "header-name", "", header(GOOD, ">From: a@bank.test")),
    "hidden-from": (END, "header-hidden-from", "", header(
        GOOD, b"X: y\x0bFrom: a@bank.test")),
    "fold-in-quotes": (END, "domain-not-assigned", "",
                       'From: "a@bank.test\r\n " <alice@example.org>'),
    "bracket-in-quotes": (END, "domain-not-assigned", "",
                          'From: "A <a@bank.test>, x" <alice@example.org>'),
    "malformed": (END, "header-malformed", "", header("no field", GOOD)),
    "malformed-name": (END, "header-malformed", "", header("a b: c", GOOD)),
    "malformed-mbox": (END, "header-malformed", "", header(
        "From alice@example.org Sat Nov 21 05:10:21 2026", GOOD)),
    "body-dot": (END, "body-hidden-end", "", GOOD + "\r\n\r\nx\r.\rMAIL"),
    "bare-cr": (END, "header-control", "", header(
        b"X: y\rFrom: a@bank.test", GOOD)),
    "bare-cr-from": (END, "header-control", "", header(
        b"From: a@bank.test\r <alice@example.org>")),
    "nul-behind": (END, "domain-not-assigned", "",
                   header(b"From: a@bank.test\0 <alice@example.org>")),
}


def logged_in(relay, name="alice"):
    session = Session(relay)
    assert session.plain(name, PASSWORD) == OK
    return session


@pytest.mark.parametrize("kind", BLOCKS)
def test_reasons(relay, redis, users, sink, kind):
    place, reason, sender, lines = BLOCKS[kind]
    users.add("alice", PASSWORD, account="acme")
    with logged_in(relay) as session:
        where, reply = try_message(session, sender, lines, kind)
        found = blocked(redis, reply)
        assert (where, found["reason"]) == (place, reason)
        # The session goes on.
        assert session.message("innocent-" + kind).startswith("250")
    assert found["envelope_sender"].startswith(sender)
    assert sink.wait_for(b"innocent-" + kind.encode())
    assert not [m for m in sink.messages
                if b"Subject: %s\r\n" % kind.encode() in m.data]


def test_a_hidden_end_where_the_header_is_not_judged(
        new_relay, redis, users, sink):
    relay = new_relay(enforce=["envelope"])
    users.add("alice", PASSWORD)
    with logged_in(relay) as session:
        for body in (b"x\r.\rMAIL FROM:<ceo@bank.test>", b"x\r.", b"a\r.\rb"):
            assert session.mail().startswith("250")
            assert session.rcpt().startswith("250")
            reply = session.data(b"From: a@bank.test\r\n\r\n" + body +
                                 b"\r\n")
            assert blocked(redis, reply)["reason"] == "body-hidden-end"
        for line in (b"X: y\r.\rMAIL FROM:<ceo@bank.test>", b"X: y\r."):
            assert session.mail().startswith("250")
            assert session.rcpt().startswith("250")
            reply = session.data(line + b"\r\n\r\nx\r\n")
            assert blocked(redis, reply)["reason"] == "body-hidden-end"
        # Programs leave CRs behind that hide nothing.
        assert session.mail().startswith("250")
        assert session.rcpt().startswith("250")
        assert session.data(b"Subject: crs\r\n\r\nx\r\r\ny.\r\r\n50%\rz\r\n"
                            ).startswith("250")
    sink.wait_for(b"Subject: crs")


def test_smtpd_unstuffs_before_anybody_reads(relay, redis, users, sink):
    """A dot that the client should have doubled hides no From."""
    users.add("alice", PASSWORD)
    with logged_in(relay) as session:
        for lines in (b".From: a@bank.test\r\n" + GOOD.encode(),
                      GOOD.encode() + b"\r\n.From: a@bank.test",
                      GOOD.encode() + b"\r\n.fRoM:a@bank.test"):
            for command in (session.mail, session.rcpt):
                assert command().startswith("250")
            assert session.command("DATA").startswith("354")
            session.send(message(lines, "dotted") + b".\r\n")
            assert blocked(redis, session.read())["reason"] == "from-multiple"
        # Doubled, it is a field of another name, though much like it.
        for name, reply in ((b"From", "550"), (b"X-To", "250")):
            assert try_message(
                session, "alice@example.org",
                header(b"." + name + b": a@bank.test", GOOD),
                "stuffed")[1][:3] == reply
    assert b"\n.X-To: a@bank.test\r\n" in sink.wait_for(b"stuffed").head
    never_arrives(relay, users, sink, "dotted")


def test_smtpd_cuts_lines_at_a_nul_before_anybody_reads(relay, users, sink):
    users.add("alice", PASSWORD)
    with logged_in(relay) as session:
        where, reply = try_message(
            session, "", GOOD.encode() + b"\0, <a@bank.test>", "cut-short")
    assert (where, reply[:3]) == (END, "250")
    assert b"bank.test" not in sink.wait_for(b"cut-short").data


@pytest.mark.parametrize("lines", [
    "From: Alice\r\n <alice@example.org>",
    "From:\r\n\tAlice\r\n \"B. (C)\"\r\n\t<alice@example.org>",
    "from:alice@example.org",
    "FROM:   =?utf-8?b?QWxpY2U=?=\r\n <ALICE@EXAMPLE.ORG>",
    "From: \"a@bank.test\" <alice@example.org>",
    "From: alice@example.org\r\nReply-To: a@bank.test\r\nSender: a@bank.test",
    "X-Long: " + "\r\n ".join(["z" * 900] * 100) +
    "\r\nFrom: alice@example.org",
    "From: [Shop] Orders <alice@example.org>",
    "From: Shop: Orders <alice@example.org>",
    "From: x < alice@example.org >", "From: alice@example.org;",
    b"From: Jos\xe9 <alice@example.org>",
    "From: =?UTF-8?Q?Alice Smith?= <alice@example.org>",
    "From: \"Smith, Alice\" <alice@example.org>",
    "From:\r\n \r\n <alice@example.org>",
    "From: \"Alice <alice@example.org>\" <alice@example.org>",
], ids=range(16))
def test_ordinary_headers_pass(relay, users, sink, lines):
    users.add("alice", PASSWORD)
    with logged_in(relay) as session:
        where, reply = try_message(session, "alice@example.org", lines, "fine")
    assert (where, reply[:3]) == (END, "250"), reply
    arrived = sink.wait_for(b"fine").head
    if isinstance(lines, str):
        lines = lines.encode()
    assert lines.replace(b"\r\n", b"") in arrived.replace(b"\r\n", b"")


def test_a_report_holds_what_there_is_to_know(new_relay, redis, users):
    zone = 'two IN TXT "v=spf1 -all"\ntwo IN TXT "v=spf1 +all"\n' \
           'wrong IN TXT "v=spf1 gibberish"\n'
    users.account("acme", "account.test", plan="pro")
    users.add("alice", PASSWORD, account="acme", mode="any")
    with NameServer(workdir("nsd"), zone) as nameserver:
        relay = new_relay(spf_resolver=nameserver.address)
        began = time.time()
        with Session(relay, "127.0.0.7") as session:
            assert session.login("Alice", PASSWORD) == OK
            sender, lines = "alice@example.org", from_header("x@Wrong.TEST")
            where, reply = try_message(session, sender, lines, "detailed")
        found = blocked(redis, reply)
    assert where == END
    wrote = time.mktime(time.strptime(
        found.pop("time") + " UTC", "%Y-%m-%dT%H:%M:%SZ %Z")) - time.timezone
    assert began - 2 <= wrote <= time.time() + 2
    assert re.fullmatch("[0-9a-f]{8}", found.pop("msgid"))
    assert found.pop("relay")
    assert found == {
        "user": "alice", "account": "acme", "reason": "spf-syntax",
        "domain": "wrong.test", "spf": "v=spf1 gibberish",
        "envelope_sender": sender, "from": " Alice <x@Wrong.TEST>",
        "source": "127.0.0.7", "message_id": "<detailed@client.test>"}


def test_reports_expire_after_thirty_days(relay, redis, users):
    users.add("alice", PASSWORD)
    with logged_in(relay) as session:
        ident = report_id(session.mail("a@bank.test"), "alice")
    assert report(redis, ident)
    left = redis.cli("TTL", "smtp:report:{%s}" % ident)
    assert 0 < REPORT_DAYS * 86400 - left < 60 or \
        left == REPORT_DAYS * 86400


def test_ids_are_unique_across_relays(redis, users):
    count, relays = 1000, 3
    users.add("alice", PASSWORD)
    conf = configuration(redis=redis.url)
    ids = set()
    drivers = [FilterDriver(workdir("filter"), conf) for _ in range(relays)]
    for driver in drivers:
        with driver:
            driver.connect("00000000000000aa")
            driver.authenticate("00000000000000aa", "alice")
            for _ in range(count):
                verdict = driver.ask("mail-from", "00000000000000aa",
                                     "a@bank.test")
                ids.add(re.search(r"\?id=([0-9]{18})&", verdict).group(1))
            wait_until(lambda: redis.cli("DBSIZE") >= len(ids) + 2, 20,
                       "every report to be written")
    assert len(ids) == count * relays
    assert {"smtp:report:{%s}" % ident for ident in ids} == \
        set(redis.cli("KEYS", "smtp:report:*"))


def test_an_appliance_is_named(relay, redis, users):
    users.add("printer", domains=["own.test"])
    users.ip_auth("printer", "127.0.0.2")
    with Session(relay, "127.0.0.2") as session:
        found = blocked(redis, session.mail("a@bank.test"), "printer")
    assert (found["user"], found["source"]) == ("printer", "127.0.0.2")


def test_what_a_header_holds_cannot_forge_a_report(relay, redis, users):
    users.add("alice", PASSWORD)
    with logged_in(relay) as session:
        _, reply = try_message(session, "", header(
            b"From: \xff\x1b[2J <a@bank.test>\r\n reason none",
            "X: y"), "forged")
        found = blocked(redis, reply)
    assert found["reason"] == "from-ambiguous"
    assert found["user"] == "alice"
    assert "reason none" in found["from"]


def test_a_report_is_there_before_the_reply(redis, users):
    users.add("alice", PASSWORD)
    with FilterDriver(workdir("filter"), configuration(redis=redis.url)) as f:
        f.connect("00000000000000aa")
        f.authenticate("00000000000000aa", "alice")
        for _ in range(200):
            verdict = f.ask("mail-from", "00000000000000aa", "a@bank.test")
            ident = report_id(verdict.partition("|")[2], "alice")
            assert redis.cli("EXISTS", "smtp:report:{%s}" % ident) == 1


def test_a_plus_sign_is_encoded_in_the_url(relay, redis, users):
    users.add("bob+news", PASSWORD)
    with logged_in(relay, "bob+news") as session:
        found = blocked(redis, session.mail("a@bank.test"), "bob%2Bnews")
    assert found["user"] == "bob+news"


def test_the_reports_of_an_account_are_bounded(redis, users):
    """Three users cause more than two may; each has one at least."""
    users.account("acme")
    names, most = ["alice", "bob", "carol"], 2000
    for name in names:
        users.add(name, PASSWORD, account="acme")
    users.add("dave", PASSWORD)
    with FilterDriver(workdir("filter"), configuration(redis=redis.url)) as f:
        def ask(name, number):
            ident = "%016x" % number
            f.connect(ident)
            f.authenticate(ident, name)
            verdict = f.ask("mail-from", ident, "a@bank.test")
            f.disconnect(ident)
            return report_id(verdict.partition("|")[2], name)

        ids = {name: {ask(name, n) for n in range(1, 1001)}
               for name in names}
        assert ask("dave", 1) not in set().union(*ids.values())
    assert [len(ids[name]) for name in names[:2]] == [1000, 1000]
    assert 1 <= len(ids["carol"]) < 20
    assert most < len(redis.cli("KEYS", "smtp:report:*")) < most + 20


# Redis is lost after the verdict, before the report is written

def out_of_memory(redis):
    redis.cli("CONFIG", "SET", "maxmemory", "1")
    return lambda: redis.cli("CONFIG", "SET", "maxmemory", "0")


def read_only(redis):
    redis.cli("REPLICAOF", "127.0.0.1", "1")
    return lambda: redis.cli("REPLICAOF", "NO", "ONE")


def cut(redis):
    redis.cli("CLIENT", "PAUSE", "100000", "WRITE")

    def back():
        redis.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        redis.cli("CLIENT", "UNPAUSE")
    return back


def killed(redis):
    redis.cli("CLIENT", "PAUSE", "100000", "WRITE")

    def back():
        redis.kill()
        redis.start()
    return back


@pytest.mark.parametrize("loss", [out_of_memory, read_only, cut, killed])
def test_no_reply_names_a_report_that_is_not_there(relay, redis, users, loss):
    users.add("alice", PASSWORD)
    with logged_in(relay) as session:
        log(redis, "alice", 1)
        back = loss(redis)
        assert session.mail("a@bank.test") == LATER
        assert redis.cli("KEYS", "smtp:report:*") == []
        assert len(entries(redis, "alice")) == 1
        back()
        # The log of the user waits until it can be written.
        wait_until(lambda: [entry for entry in entries(redis, "alice")
                            if entry.get("reply") == LATER], 20,
                   "the entry of the log")
    # A Redis that was killed has forgotten her.
    users.add("alice", PASSWORD)

    def named():
        with Session(relay) as session:
            if session.plain("alice", PASSWORD) != OK:
                return None
            return report_id(session.mail("a@bank.test"), "alice")
    found = report(redis, wait_until(named, 20, "a report"))
    assert found["reason"] == "domain-not-assigned"
    for key in redis.cli("KEYS", "smtp:report:*"):
        wait_until(lambda k=key: redis.cli("TTL", k) > 0, 20, "its end")


def test_one_users_reports_while_redis_is_full_cost_others_nothing(
        relay, redis, users):
    """No memory is left: mail that is allowed, and needs none, passes."""
    users.add("alice", PASSWORD)
    users.add("bob", PASSWORD)
    with logged_in(relay) as session, logged_in(relay, "bob") as other:
        back = out_of_memory(redis)
        for n in range(20):
            assert session.mail("a@bank.test") == LATER
            assert other.message("m%d" % n).startswith("250")
        back()


def test_the_log_names_the_rule_and_the_domain(relay, users, redis):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD).startswith("235")
        assert session.message(
            sender="alice@bank.example").startswith("550")
        redis.cli("DEL", users.key("alice"))
        assert session.message().startswith("530")
    wait_until(lambda: re.search(
        r'mail-from refused: user=alice source=\S+ reply="550 5\.7\.1 \[ACL\] .*" '
        r"reason=domain-not-assigned domain=bank\.example\n", relay.log()), 60,
        "the line about the domain")
    wait_until(lambda: re.search(
        r'mail-from refused: user=alice source=\S+ reply="530 .*" '
        r"reason=\S+\n", relay.log()), 60, "the line about the user")


def test_each_reason_has_its_words():
    """In the manual, for the operator; in reasons.ini, for who sends."""
    names = set(re.findall(r'return \("([a-z-]+)"\)',
                           (SOURCE / "filter" / "reason.c").read_text()))
    assert len(names) > 40
    assert set(re.findall(r"^\[([a-z-]+)\]", (
        SOURCE / "scripts" / "reasons.ini").read_text(),
        re.MULTILINE)) == names
    page = (SOURCE / "filter" / "filter-smtpusers.8").read_text()
    reports = page[page.index(".Ss Reports"):page.index(".Ss Log of a user")]
    refusals = " ".join(re.findall(
        r"^\.It Sy (.*)$", page[page.index(".Sh DIAGNOSTICS"):], re.MULTILINE))
    told = re.findall(r"^\.It Cm (\S+)$", reports, re.MULTILINE)
    told += re.findall(r"[a-z][a-z-]+", refusals.replace(" or ", " "))
    assert set(told) == names
