# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Alarms on a real smtpd: what sets them off, what becomes of the user, and
how it ends."""

import json
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from cli import Smtpusers, log_in_as
from fakeredis import FakeRedis, losing
from places import configuration, workdir
from quotas import Sender, limited
from redisserver import wait_until
from reports import blocked, never_arrives, report_id
from session import Closed, Session, simple

PASSWORD = "Open-Sesame1"
REQUIRED = "530 5.7.0 Authentication required"
TEMPFAIL = "451 4.3.0 Temporary failure"


def section(limit, action="block", **more):
    return {"limit": limit, "period": "1h", "action": action, **more}


def log_in(relay, source="127.0.0.1", name="alice"):
    session = Session(relay, source)
    assert session.plain(name, PASSWORD).startswith("235")
    return session


def from_header(domain):
    return simple(sender="a@" + domain)


def send_many(session, kind, n):
    """The n-th message that is different in what the alarm counts; the reply
    that refuses it, or the last."""
    if kind == "senders":
        return session.message(sender="a@d%d.example" % n)
    if kind == "recipients":
        return session.message(recipients=["r%d@example.com" % n])
    if kind == "volume":
        return session.message()
    return session.message(sender="a@bank.example")


def events(redis):
    found = [dict(zip(flat[::2], flat[1::2])) for _, flat in
             redis.cli("XRANGE", "smtp:events", "-", "+")]
    for event in found:
        assert event.pop("id") and event.pop("relay")
    return found


def alarm_lines(relay):
    return re.findall(r"alarm: (user=.*)", relay.log())


def alice(users, **fields):
    users.account("acme", *("d%d.example" % n for n in range(20)))
    users.add("alice", PASSWORD, account="acme", mode="all", **fields)


def status(redis, name="alice"):
    flat = redis.cli("HGETALL", "smtp:user:{%s}" % name)
    found = dict(zip(flat[::2], flat[1::2]))
    return found["status"], found.get("blocked_by")


@pytest.mark.parametrize("kind", ["senders", "recipients", "volume"])
def test_block(new_relay, users, redis, kind):
    """The one too many is not accepted, and the session is at its end."""
    relay = new_relay(alarm={kind: section(4)})
    alice(users)
    with log_in(relay) as session, log_in(relay) as other:
        for n in range(4):
            assert send_many(session, kind, n).startswith("250")
        reply = send_many(session, kind, 4)
        report = blocked(redis, reply)
        assert (report["reason"], report["user"]) == ("alarm", "alice")
        assert session.mail() == REQUIRED
        assert other.mail() == REQUIRED
    assert status(redis) == ("blocked", "alarm:" + kind)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD).startswith("535")
    assert alarm_lines(relay) == [
        "user=alice alarm=%s count=5 limit=4 period=1h action=block" % kind]
    event = wait_until(lambda: events(redis), 60, "the event")
    assert event == [{"kind": "alarm." + kind, "user": "alice",
                      "account": "acme",
                      "action": "block", "count": "5", "limit": "4",
                      "period": "1h"}]


def test_sources(new_relay, users, redis):
    """A source counts when it logs in, whether it then sends or not."""
    relay = new_relay(alarm={"sources": section(3)})
    alice(users)
    for n in range(3):
        with log_in(relay, "127.0.0.%d" % (n + 1)) as session:
            if n:
                assert session.message().startswith("250")
    with log_in(relay, "127.0.0.1") as session, \
            log_in(relay, "127.0.0.9") as other:
        wait_until(lambda: status(redis)[0] == "blocked", 60, "the alarm")
        assert session.mail() == REQUIRED
        assert other.mail() == REQUIRED
    assert status(redis) == ("blocked", "alarm:sources")
    assert len(alarm_lines(relay)) == 1


@pytest.mark.parametrize("form", ["login", "plain_later"])
def test_sources_of_hidden_logins(new_relay, users, redis, form):
    relay = new_relay(alarm={"sources": section(1)})
    alice(users)
    for n in range(2):
        with Session(relay, "127.0.0.%d" % (n + 1)) as session:
            assert getattr(session, form)("alice", PASSWORD).startswith("235")
    wait_until(lambda: status(redis)[0] == "blocked", 60, "the alarm")


def test_networks_of_ipv6(new_relay, users, redis):
    """A host has a /64 and takes another address of it every day."""
    relay = new_relay(alarm={"sources": section(1)})
    alice(users)
    for n in range(1, 6):
        with log_in(relay, "2001:db8:25::%x" % n) as session:
            assert session.message().startswith("250")
    with log_in(relay, "::1"):
        wait_until(lambda: status(redis)[0] == "blocked", 60, "the alarm")


def test_blocked(new_relay, users, redis):
    relay = new_relay(alarm={"blocked": section(3)})
    alice(users)
    with log_in(relay) as session:
        for n in range(4):
            assert report_id(send_many(session, "blocked", n), "alice")
        wait_until(lambda: status(redis)[0] == "blocked", 60, "the alarm")
        assert session.message() == REQUIRED
    assert status(redis) == ("blocked", "alarm:blocked")


def test_refused_senders_are_not_counted(new_relay, users, redis):
    """Who forwards mail, and is refused what is not the user's, is no thief."""
    relay = new_relay(alarm={"senders": section(2), "volume": section(9)})
    alice(users)
    with log_in(relay) as session:
        for n in range(12):
            reply = session.message(content=from_header("f%d.example" % n))
            assert report_id(reply, "alice"), reply
        assert session.message().startswith("250")
    assert status(redis) == ("allowed", None)


def test_sandbox(new_relay, users, redis, sink):
    relay = new_relay(alarm={"volume": section(2, "sandbox")})
    alice(users)
    with log_in(relay) as session:
        for n in range(2):
            assert session.message("good-%d" % n).startswith("250")
        # Its recipients were not rewritten: not this time.
        assert session.message("lost-1") == TEMPFAIL
        for n in range(9):
            assert session.message("lost-2").startswith("250")
    assert status(redis) == ("sandboxed", "alarm:volume")
    for n in range(2):
        sink.wait_for(b"good-%d" % n, 60)
    never_arrives(relay, users, sink, "lost-2")
    assert len(alarm_lines(relay)) == 1


def test_notice(new_relay, users, redis, sink):
    relay = new_relay(alarm={"volume": section(2, "notice"),
                             "recipients": section(1, "notice")})
    alice(users)
    with log_in(relay) as session:
        for n in range(6):
            assert session.message(
                "mark-%d" % n, recipients=["r%d@example.com" % n]
            ).startswith("250")
    sink.wait_for(b"mark-5", 60)
    assert status(redis) == ("allowed", None)
    assert sorted(alarm_lines(relay)) == [
        "user=alice alarm=recipients count=2 limit=1 period=1h action=notice",
        "user=alice alarm=volume count=3 limit=2 period=1h action=notice"]


def test_it_ends_by_itself(new_relay, users, redis):
    """The user, who has waited, sends on in the session that is open."""
    relay = new_relay(alarm={"volume": section(1, **{"for": "3s"})})
    alice(users)
    with log_in(relay) as session:
        assert session.message().startswith("250")
        assert report_id(session.message(), "alice")
        assert "until=" in alarm_lines(relay)[0]
        wait_until(lambda: session.mail().startswith("250"), 60, "the end")
        session.command("RSET")
        assert session.message().startswith("250")
    assert status(redis) == ("allowed", None)
    over = wait_until(lambda: [event for event in events(redis)
                               if event["kind"] == "user.allowed"], 60,
                      "the event")
    assert [(event["user"], event["former"], event["by"])
            for event in over] == [("alice", "blocked", "time")]
    with log_in(relay):
        pass


@pytest.mark.parametrize("what", ["sources=off", "sources=9/1h",
                                  "senders=1/1h sources=off"])
@pytest.mark.parametrize("whose", ["user", "account"])
def test_limits_of_ones_own(new_relay, users, redis, whose, what):
    relay = new_relay(alarm={"sources": section(1)})
    fields = {"alarms": what}
    alice(users, **(fields if whose == "user" else {}))
    if whose == "account":
        redis.cli("HSET", "smtp:account:{acme}", "alarms", what)
    for n in range(3):
        with log_in(relay, "127.0.0.%d" % (n + 1)) as session:
            # There is no alarm of senders: the word has no effect.
            assert session.message().startswith("250")
            assert session.message(
                content=from_header("d1.example")).startswith("250")
    assert status(redis) == ("allowed", None)


def test_limits_that_cannot_be_read(new_relay, users):
    relay = new_relay(alarm={"sources": section(1)})
    alice(users, alarms="sources")
    with log_in(relay) as session:
        assert session.mail() == TEMPFAIL
    assert "smtp:user:{alice}: bad record: alarms" in relay.log()


def test_others_are_not_concerned(new_relay, users, redis):
    relay = new_relay(alarm={"volume": section(2)})
    alice(users)
    users.add("bob", PASSWORD, account="acme", mode="all")
    with log_in(relay) as session, log_in(relay, name="bob") as innocent:
        for n in range(3):
            reply = session.message()
        assert report_id(reply, "alice")
        assert innocent.message().startswith("250")
    assert status(redis, "bob") == ("allowed", None)


def test_recipients_have_a_bound(new_relay, users, redis):
    """Different ones are told apart, however many; and the same is the same."""
    relay = new_relay(alarm={"recipients": section(2)})
    alice(users)
    with log_in(relay) as session:
        for n in range(5):
            assert session.message(recipients=[
                "Bob@Example.com", "bob@example.com"]).startswith("250")
        assert session.message(
            recipients=["r1@example.com"]).startswith("250")
        reply = session.message(recipients=["r2@example.com"])
        assert report_id(reply, "alice"), reply


def test_relays_race(new_relay, users, redis):
    """With each of three relays, many clients: it is set off once, and what
    is accepted is what the limit allows."""
    relays = [new_relay(alarm={"volume": section(60)}) for _ in range(3)]
    alice(users)

    def client(relay):
        accepted = 0
        try:
            with log_in(relay) as session:
                while session.message().startswith("250"):
                    accepted += 1
        except (Closed, AssertionError):
            pass
        return accepted

    with ThreadPoolExecutor(12) as pool:
        accepted = sum(pool.map(client, relays * 4))
    assert accepted == 60
    assert status(redis) == ("blocked", "alarm:volume")
    assert sum(len(alarm_lines(relay)) for relay in relays) == 1


class Killed(Exception):
    pass


def test_a_filter_is_killed(redis, users):
    """What it had reserved stays counted; no other relay gets around it."""
    limited(users)
    alarm = {"volume": section(10), "sources": section(5)}
    accepted = 0
    for _ in range(4):
        with suppress(Killed), Sender(redis.url, alarm=alarm) as sender:
            accepted += sender.send(2)
            if sender.mail() == "proceed" and sender.commit() == "proceed":
                accepted += 1
            sender.driver.process.kill()
            sender.driver.process.wait()
            raise Killed
    with Sender(redis.url, alarm=alarm) as sender:
        accepted += sender.send(5)
    assert accepted == 10
    assert status(redis) == ("blocked", "alarm:volume")


def test_connections_are_cut(redis, users):
    """An answer that is lost is asked for again, and counts once."""
    limited(users)
    over = threading.Event()

    def cut():
        while not over.wait(0.02):
            redis.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    with Sender(redis.url, alarm={"volume": section(40)}) as sender:
        cutter = threading.Thread(target=cut)
        cutter.start()
        try:
            accepted, verdict = 0, ""
            while "[ACL]" not in verdict and "530" not in verdict:
                verdict = sender.message()
                accepted += verdict == "proceed"
        finally:
            over.set()
            cutter.join()
    assert accepted <= 40
    assert status(redis) == ("blocked", "alarm:volume")


def refused(session):
    assert report_id(send_many(session, "blocked", 0), "alice")


def told(redis):
    """The kinds of all events: one whose reply is lost stands there twice."""
    found = {flat[flat.index("id") + 1]: flat[flat.index("kind") + 1]
             for _, flat in redis.cli("XRANGE", "smtp:events", "-", "+")}
    return sorted(found.values())


def stubborn(attempt):
    """Whatever else is asked by a connection that is cut is not asked again
    by the relay: the client comes again."""
    def result():
        with suppress(AssertionError, Closed, OSError):
            return [attempt()]
        return None
    return wait_until(result, 60, "it to go well")[0]


BLOCKED_CALL = re.compile(rb"\r\nblocked\r\n\$1\r\n1\r\n\$16\r\n(\w{16})\r\n")


@pytest.mark.parametrize("when", ["request", "reply"])
def test_calls_that_are_lost(new_relay, users, redis, when):
    """Before or after Redis has done it, each counts, and once.  A message
    whose report is lost is refused for the moment, and counts when it comes
    again: how many there are, the calls say."""
    lost_calls = []
    asked = set()

    def lost(request, reply):
        if request is not None:
            calls.append(b"smtpusers_alarm" in request)
            asked.update(BLOCKED_CALL.findall(request))
        if not calls[-1] or when == "request" and request is None or (
                when == "reply" and reply is None):
            return False
        lost_calls.append(when)
        return len(lost_calls) % 2 == 1

    def refused_at(relay, source):
        with log_in(relay, source) as session:
            while len(asked) <= 40:
                with suppress(AssertionError):
                    return refused(session)

    calls = [False]
    alice(users)
    with FakeRedis(workdir("proxy"), losing(redis, lost)) as proxy:
        relay = new_relay(proxy.url, redis_timeout=20000,
                          alarm={"blocked": section(40),
                                 "sources": section(2, "notice")})
        for n in range(3):
            stubborn(lambda: refused_at(relay, "127.0.0.%d" % (n + 1)))
        wait_until(lambda: told(redis) == ["alarm.sources"], 60, "the notice")
        wait_until(lambda: redis.cli(
            "GET", "smtp:user:{alice}:used:alarm:blocked") ==
            "%d" % len(asked), 60, "the calls")
        assert status(redis) == ("allowed", None)
        while len(asked) <= 40:
            stubborn(lambda: refused_at(relay, "127.0.0.1"))
        wait_until(lambda: status(redis) == ("blocked", "alarm:blocked"), 60,
                   "the alarm")
        assert len(lost_calls) > 6
        wait_until(lambda: told(redis) == ["alarm.blocked", "alarm.sources"],
                   60, "the events")


def reload(sender, redis, **keys):
    """Has its filter read another configuration, and waits until it has."""
    sender.driver.conf_path.write_text(configuration(
        redis=redis.url, spf="off", **keys))
    again = sender.driver.stderr().count("has been read again")
    sender.driver.process.send_signal(signal.SIGHUP)
    wait_until(lambda: sender.driver.stderr().count(
        "has been read again") > again, 60, "the configuration")


def test_an_alarm_is_turned_off_meanwhile(users, redis):
    """A message under way is not its victim."""
    limited(users)
    with Sender(redis.url, alarm={"volume": section(9),
                                  "senders": section(9)}) as sender:
        assert sender.mail() == "proceed"
        reload(sender, redis, alarm={"volume": section(9)})
        assert sender.commit() == "proceed"
        sender.report("tx-commit", "100")
        assert sender.mail() == "proceed"
        reload(sender, redis)
        assert sender.commit() == "proceed"


def test_what_smtpd_does_not_take(redis, users):
    limited(users)
    with Sender(redis.url, alarm={"volume": section(4)}) as sender:
        for _ in range(9):
            assert sender.message("tx-rollback") == "proceed"
            wait_until(lambda: redis.cli(
                "GET", "smtp:user:{alice}:used:alarm:volume") == "0", 60,
                "what is given back")
        assert sender.send(9) == 4


def test_messages_given_back_fill_no_stream(redis, users):
    limited(users)
    alarm = {"volume": section(1, "notice")}
    counter = "smtp:user:{alice}:used:alarm:volume"
    recipients = 3
    with Sender(redis.url, alarm=alarm) as sender:
        for _ in range(5):
            assert sender.message("tx-rollback", recipients=recipients
                                  ) == "proceed"
            wait_until(lambda: redis.cli("GET", counter) == "0", 60,
                       "what is given back")
        assert sender.message(recipients=recipients) == "proceed"
    assert [event["kind"] for event in events(redis)] == ["alarm.volume"]


def test_redis_away(new_relay, users, redis):
    """What cannot be counted is not accepted."""
    relay = new_relay(alarm={"volume": section(9)})
    alice(users)
    with log_in(relay) as session:
        assert session.message().startswith("250")
        redis.pause()
        try:
            assert session.message().startswith("451")
        finally:
            redis.resume()


def test_rights(users, redis, tmp_path):
    """The user of Redis that setup proposes may do all that alarms need."""
    log_in_as(redis, "relay", tmp_path)
    limited(users, status="blocked", blocked_until="2026-01-01T00:00:00Z")
    alarm = {"volume": section(2, **{"for": "1h"}), "senders": section(9),
             "sources": section(200), "recipients": section(200),
             "blocked": section(1)}
    try:
        with Sender(redis.url, alarm=alarm, redis_user="relay",
                    redis_password_file=str(tmp_path / "relay.pw")) as sender:
            assert sender.send(3) == 2
            assert status(redis) == ("blocked", "alarm:volume")
            users.set("alice", status="allowed")
            for _ in range(2):
                assert "[ACL]" in sender.driver.ask(
                    "mail-from", sender.session, "a@b.example")
            wait_until(lambda: status(redis) == (
                "blocked", "alarm:blocked"), 60, "the alarm")
            users.set("alice", status="allowed")
            # What was counted exactly is estimated; who is told is told once.
            for limit in (1, 200):
                reload(sender, redis, redis_user="relay",
                       redis_password_file=str(tmp_path / "relay.pw"),
                       alarm={kind: section(limit, "notice") for kind in
                              ("recipients", "volume")})
                assert sender.send(2, recipients=2) == 2
            assert told(redis) == ["alarm.blocked", "alarm.recipients",
                                   "alarm.volume", "alarm.volume",
                                   "user.allowed"]
    finally:
        redis.cli("ACL", "DELUSER", "relay")


def test_a_counter_that_cannot_be_read(new_relay, users, redis):
    relay = new_relay(alarm={"sources": section(9)})
    alice(users)
    key = "smtp:user:{alice}:used:alarm:sources"
    redis.cli("SET", key, "x")
    with log_in(relay) as session:
        assert session.message() == TEMPFAIL
        redis.cli("DEL", key)
        assert session.message().startswith("250")
    assert "smtp:user:{alice}: bad record: used:alarm:sources" in relay.log()


def test_such_a_counter_is_logged_once(redis, users):
    """Also where no message waits for it."""
    limited(users)
    redis.cli("SET", "smtp:user:{alice}:used:alarm:blocked", "x")
    with Sender(redis.url, alarm={"blocked": section(9)}) as sender:
        sender.open()
        for _ in range(5):
            assert "[ACL]" in sender.driver.ask(
                "mail-from", sender.session, "a@b.example")
        # What is asked behind them has been answered.
        assert sender.send(1) == 1
        assert sender.driver.stderr().count("bad record") == 1


def test_the_command(new_relay, users, redis, tmp_path):
    """It shows what has happened, and one call of it releases."""
    alarm = {"volume": section(1, **{"for": "1h"})}
    relay = new_relay(alarm=alarm)
    smtpusers = Smtpusers(redis, tmp_path, alarm=alarm)
    alice(users)
    with log_in(relay) as session:
        assert session.message().startswith("250")
        assert report_id(session.message(), "alice")
        told = smtpusers.ok("show", "alice").stdout
        for line in ("status +blocked", "blocked by +alarm:volume",
                     "blocked at +20..-.*Z", "blocked until +20..-.*Z"):
            assert re.search("^%s$" % line, told, re.MULTILINE), told
        assert "alice" in smtpusers.ok("list", "--status", "blocked").stdout
        smtpusers.ok("allow", "alice")
        assert "blocked" not in smtpusers.ok("show", "alice").stdout
        assert session.message().startswith("250")


def test_the_command_when_it_is_over(redis, users, tmp_path):
    smtpusers = Smtpusers(redis, tmp_path)
    users.add("alice", status="blocked", blocked_until="2026-01-01T00:00:00Z")
    users.add("bob", status="blocked", blocked_until="2026-02-30T00:00:00Z")
    users.add("carol", status="sandboxed",
              blocked_until="9999-01-01T00:00:00Z")
    told = smtpusers.ok("list").stdout
    assert re.search("^alice +allowed ", told, re.MULTILINE), told
    assert re.search("^bob +blocked ", told, re.MULTILINE), told
    assert re.search("^carol +sandboxed ", told, re.MULTILINE), told
    assert smtpusers.ok("list", "--names", "--status", "allowed").stdout == "alice\n"
    assert smtpusers.ok("list", "--names", "--status", "blocked").stdout == "bob\n"
    assert {row["name"]: row["status"] for row in json.loads(
        smtpusers.ok("list", "--json").stdout)} == {
            "alice": "allowed", "bob": "blocked", "carol": "sandboxed"}
    assert json.loads(smtpusers.ok("show", "--json", "alice").stdout)["status"] == \
        "allowed"
    assert "blocked_until: 2026-02-30T00:00:00Z: not a time" in \
        smtpusers.ok("show", "bob").stdout
