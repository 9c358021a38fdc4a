# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The alarm of failed deliveries: what next hops refuse, as a real smtpd
reports it to the filter of the action that relays."""

import itertools
import random
import re
import socket
import threading

import pytest

from places import SOURCE
from quotas import Sender, limited
from redisserver import wait_until
from session import Session
from test_alarms import (PASSWORD, REQUIRED, alarm_lines, alice, events,
                         log_in, section, status)
from test_reload import reload

NOBODY = "550 5.1.1 There is nobody here"
COUNTER = "smtp:user:{%s}:used:alarm:failures"


def rules(sink, use=" filter users", protocol="smtp"):
    return ['action "out" relay host %s://127.0.0.1:%d%s' % (
                protocol, sink.port, use),
            'match auth from any for any action "out"',
            'match from any for any action "out"']


@pytest.fixture
def relaying(new_relay, sink):
    """A relay whose action has the filter, and a next hop that refuses some:
    relaying(limit, action)."""
    sink.refuse("RCPT", "dead", NOBODY)
    sink.refuse("RCPT", "later", "451 4.2.1 Try again later")
    sink.refuse("DATA", "nothing", "554 5.5.1 Nothing for you")
    sink.refuse("END", "spam", "554 5.7.1 That is spam")

    def make(limit, action="block", protocol="smtp", **keys):
        return new_relay(alarm={"failures": section(limit, action)},
                         rules=rules(sink, protocol=protocol), **keys)

    return make


def counted(redis, name="alice"):
    return int(redis.cli("GET", COUNTER % name) or 0)


def queued(relay):
    """The recipients in smtpd's queue."""
    return [line.split("|")[5] for line in
            relay.ctl("show", "queue").stdout.decode().splitlines()]


def send(session, *recipients, **more):
    return session.message(recipients=["%s@example.com" % one
                                       for one in recipients], **more)


def settled(sink, mark):
    """Once the next hop has taken a message that was sent behind all."""
    return sink.wait_for(mark.encode())


def test_block(relaying, users, redis, sink):
    """The one too many blocks; bob, of the same account, is not concerned,
    nor is what alice has in the queue."""
    relay = relaying(3)
    alice(users)
    users.add("bob", PASSWORD, account="acme", mode="all")
    with log_in(relay) as session, log_in(relay, name="bob") as innocent:
        assert send(session, "later", mark="waiting").startswith("250")
        for n in range(4):
            assert send(session, "dead%d" % n).startswith("250")
            assert send(innocent, "good", mark="good-%d" % n
                        ).startswith("250")
        wait_until(lambda: status(redis)[0] == "blocked", 60, "the alarm")
        assert session.mail() == REQUIRED
        assert send(innocent, "good", mark="good-9").startswith("250")
        settled(sink, "good-9")
    assert status(redis) == ("blocked", "alarm:failures")
    assert status(redis, "bob") == ("allowed", None)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD).startswith("535")
    assert alarm_lines(relay) == [
        "user=alice alarm=failures count=4 limit=3 period=1h action=block"]
    event = wait_until(lambda: events(redis), 60, "the event")
    assert event == [{"kind": "alarm.failures", "user": "alice",
                      "account": "acme", "action": "block", "count": "4",
                      "limit": "3", "period": "1h"}]
    wait_until(lambda: queued(relay) == ["later@example.com"], 60,
               "the bounces to leave")


WHAT_COUNTS = [
    (["good"], 0), (["dead1"], 1), (["dead1", "dead2", "good"], 2),
    (["good", "dead3"], 1), (["later1", "dead4", "later2"], 1),
    (["nothing", "good"], 2), (["spam", "good", "dead5"], 3),
    (["later3", "good"], 0)]


def test_what_counts(relaying, users, redis, sink):
    """Each recipient that is refused for good, at RCPT, at DATA or at its
    end; no other."""
    relay = relaying(900)
    alice(users)
    users.add("bob", PASSWORD, account="acme", mode="all")
    with log_in(relay) as session, log_in(relay, name="bob") as behind:
        for n, (recipients, wanted) in enumerate(WHAT_COUNTS, 1):
            before = counted(redis)
            assert send(session, *recipients).startswith("250")
            wait_until(lambda: sink.ended["alice@example.org"] == n, 60,
                       "the next hop")
            # What comes behind it is counted behind it.
            assert send(behind, "dead", sender="bob@example.org"
                        ).startswith("250")
            wait_until(lambda: counted(redis, "bob") == n, 60, "bob's")
            assert counted(redis) - before == wanted, recipients
    assert status(redis) == ("allowed", None)


def bounced(sink, recipient, count):
    """Whether so many bounces are about a recipient."""
    with sink.arrived:
        return sum(not message.sender and recipient.encode() in message.data
                   for message in sink.messages) >= count


def test_bounces_and_null_senders(relaying, users, redis, sink):
    """A bounce is nobody's: where it fails, nothing counts. What a user sends
    without a sender is the user's."""
    relay = relaying(900)
    alice(users)
    users.add("carol", PASSWORD, domains=["dead.example"])
    with log_in(relay, name="carol") as session:
        assert session.message(sender="carol@dead.example", recipients=[
            "dead1@example.com"]).startswith("250")
        # The bounce to carol is refused, too, and counts for nobody.
        wait_until(lambda: sink.refused["dead"] == 2, 60, "the bounce")
    with log_in(relay) as session:
        content = ("From: <alice@example.org>\r\nSubject: x\r\n\r\nx\r\n")
        assert session.message(sender="", content=content, recipients=[
            "dead2@example.com"]).startswith("250")
        wait_until(lambda: counted(redis) == 1, 60, "the one of no sender")
    assert counted(redis, "carol") == 1


def test_who_is_exempt_or_sandboxed(relaying, users, redis, sink):
    relay = relaying(1)
    alice(users, alarms="failures=off")
    users.add("bob", PASSWORD, alarms="failures=2/1h")
    users.add("carol", PASSWORD)
    with log_in(relay) as session, log_in(relay, name="bob") as other, \
            log_in(relay, name="carol") as last:
        for n in range(3):
            assert send(session, "dead%d" % n).startswith("250")
        for n in range(2):
            assert send(other, "dead%d" % n).startswith("250")
        wait_until(lambda: counted(redis, "bob") == 2, 60, "bob's")
        for n in range(2):
            assert send(last, "dead%d" % n).startswith("250")
        wait_until(lambda: status(redis, "carol")[0] == "blocked", 60,
                   "carol's alarm")
        assert status(redis, "bob") == ("allowed", None)
        assert send(other, "dead").startswith("250")
        wait_until(lambda: status(redis, "bob")[0] == "blocked", 60,
                   "bob's alarm")
    assert status(redis) == ("allowed", None)
    assert counted(redis) == 0


def test_a_notice(relaying, users, redis):
    relay = relaying(1, "notice")
    alice(users)
    with log_in(relay) as session:
        for n in range(3):
            assert send(session, "dead%d" % n).startswith("250")
        wait_until(lambda: counted(redis) == 3, 60, "all of them")
        assert session.message().startswith("250")
    assert alarm_lines(relay) == [
        "user=alice alarm=failures count=2 limit=1 period=1h action=notice"]
    wait_until(lambda: [event["kind"] for event in events(redis)] == [
        "alarm.failures"], 60, "the event")


def test_each_bounces_once(relaying, users, redis, sink):
    """The filter at the action changes nothing of what smtpd makes of it."""
    relay = relaying(900)
    alice(users)
    with log_in(relay) as session:
        assert send(session, "dead1", "good", "dead2", mark="both"
                    ).startswith("250")
        wait_until(lambda: counted(redis) == 2, 60, "both")
        assert settled(sink, "both").recipients
        wait_until(lambda: bounced(sink, "dead1", 1) and
                   bounced(sink, "dead2", 1), 60, "the bounces")
        assert send(session, "good", mark="behind").startswith("250")
        settled(sink, "behind")
    with sink.arrived:
        bounces = [message for message in sink.messages
                   if not message.sender]
    assert sum(message.data.count(b"dead1@example.com: ")
               for message in bounces) == 1
    wait_until(lambda: not queued(relay), 60, "an empty queue")


def test_phases_of_smtp_in(relaying, users, redis):
    """What the filter refuses on the listener, it still does."""
    relay = relaying(900)
    alice(users, max_recipients=2)
    with log_in(relay) as session:
        assert "[ACL]" in session.mail("a@bank.example")
        assert "[ACL]" in session.message(
            content="From: <a@bank.example>\r\n\r\nx\r\n")
        session.command("RSET")
        assert send(session, "a", "b", "c").startswith("452")
    with Session(relay) as session:
        assert session.mail() == REQUIRED


def test_lmtp(relaying, users, redis, sink):
    relay = relaying(900, protocol="lmtp")
    alice(users)
    with log_in(relay) as session:
        assert send(session, "dead1").startswith("250")
        assert send(session, "spam1").startswith("250")
        wait_until(lambda: counted(redis) == 2, 60, "both")


def test_smtpd_is_started_again(relaying, users, redis, sink):
    """Whose the messages in the queue are is forgotten; new ones count."""
    relay = relaying(900)
    alice(users)
    with log_in(relay) as session:
        assert send(session, "dead1").startswith("250")
        wait_until(lambda: counted(redis) == 1, 60, "the first")
    relay.stop()
    relay.start()
    with log_in(relay) as session:
        assert send(session, "dead2").startswith("250")
        wait_until(lambda: counted(redis) == 2, 60, "the second")


def test_an_action_without_the_filter(new_relay, users, redis, sink):
    """It is told at the start, and nothing is counted."""
    sink.refuse("RCPT", "dead", NOBODY)
    relay = new_relay(alarm={"failures": section(1)}, rules=rules(sink, ""))
    alice(users)
    with log_in(relay) as session:
        for n in range(3):
            assert send(session, "dead%d" % n).startswith("250")
        wait_until(lambda: bounced(sink, "dead", 3), 60, "the bounces")
        assert session.message().startswith("250")
    assert counted(redis) == 0
    assert "alarm failures: no action of smtpd.conf has this filter" in \
        relay.log()


def test_other_alarms_ask_for_nothing(new_relay, users, redis, sink):
    """Without the section, smtpd tells the filter nothing of next hops."""
    sink.refuse("RCPT", "dead", NOBODY)
    relay = new_relay(alarm={"volume": section(900)}, rules=rules(sink))
    alice(users)
    with log_in(relay) as session:
        assert send(session, "dead").startswith("250")
        wait_until(lambda: bounced(sink, "dead", 1), 60, "the bounce")
        assert session.message().startswith("250")
    assert counted(redis) == 0
    assert "alarm failures" not in relay.log()


def test_the_section_comes_and_goes(relaying, users, redis, sink):
    """Where it was not at the start, it is told that it comes too late."""
    relay = relaying(900)
    alice(users)
    text = relay.conf_path.read_text()
    without = "".join(line for line in text.splitlines(keepends=True)
                      if not line.startswith("alarm"))
    with log_in(relay) as session:
        assert send(session, "later1").startswith("250")
        relay.conf_path.write_text(without)
        reload(relay)
        assert send(session, "dead1").startswith("250")
        wait_until(lambda: bounced(sink, "dead1", 1), 60, "the bounce")
        relay.conf_path.write_text(text)
        reload(relay)
        assert send(session, "dead2").startswith("250")
        wait_until(lambda: counted(redis) == 1, 60, "the last one")
    late = "nothing is counted for it before smtpd is started again"
    assert late not in relay.log()
    assert "INVALID" not in relay.log()
    relay.stop()
    relay.conf_path.write_text(without)
    relay.start()
    relay.conf_path.write_text(text)
    reload(relay)
    assert late in relay.log()


def test_many_relays(relaying, users, redis):
    """All count for one user, and the alarm goes off once."""
    relays = [relaying(5) for _ in range(2)]
    alice(users)
    with log_in(relays[0]) as one, log_in(relays[1]) as other:
        for n, session in zip(range(6), itertools.cycle((one, other))):
            assert send(session, "dead%d" % n).startswith("250")
        wait_until(lambda: status(redis)[0] == "blocked", 60, "the alarm")
        assert one.mail() == REQUIRED
        assert other.mail() == REQUIRED
    assert sum(len(alarm_lines(relay)) for relay in relays) == 1


# Without an smtpd

def dialogue(msgid, reply=NOBODY, session="%016x" % 7):
    """What smtpd reports of a message for one recipient."""
    events = [("link-connect", "mx.test|pass|127.0.0.1:1|127.0.0.1:25"),
              ("protocol-client", "MAIL FROM:<a@example.org>"),
              ("protocol-server", "250 Ok"), ("tx-begin", msgid),
              ("protocol-client", "RCPT TO:<b@example.com>"),
              ("protocol-server", reply), ("protocol-client", "RSET")]
    return ["report|0.7|1.5|smtp-out|%s|%s|%s" % (event, session, words)
            for event, words in events]


def sender(redis, **keys):
    return Sender(redis.url, relays=True, **keys,
                  alarm={"failures": section(900)})


def test_redis_is_away(redis, users):
    """What was refused meanwhile counts when it is back, and once."""
    limited(users)
    with sender(redis) as one:
        assert one.send(3) == 3
        redis.pause()
        one.driver.send(*dialogue("00000001"), *dialogue("00000002"))
        # It has read them.
        assert one.driver.ask("mail-from", "%016x" % 99).startswith("reject")
        redis.resume()
        wait_until(lambda: counted(redis) == 2, 60, "both")
        one.driver.send(*dialogue("00000003"))
        wait_until(lambda: counted(redis) == 3, 60, "the third")


def test_lines_that_smtpd_never_sends(redis, users):
    """Out of order, cut off, of no session, of nobody's message."""
    limited(users)
    seed = random.Random(5)
    with sender(redis) as one:
        assert one.send(9) == 9
        for n in range(400):
            lines = dialogue("%08x" % (1000 + n), session="%016x" % (n % 9))
            seed.shuffle(lines)
            one.driver.send(*(line[:seed.randrange(30, 200)]
                              for line in lines))
        one.driver.send(*(line.replace("report|", "filter|")
                          for line in dialogue("00000001")))
        one.driver.send(*dialogue("00000001", "250 Ok"),
                        *dialogue("00000002", "451 Later"),
                        *dialogue("0000000g"), *dialogue(""),
                        *dialogue("00000003"))
        wait_until(lambda: counted(redis) == 1, 60, "the last one")
        assert one.message() == "proceed"
    assert counted(redis) == 1


def flood(server, flooded):
    """Answers EHLO with lines without end, to whoever comes."""
    def answer(connection):
        try:
            connection.sendall(b"220 endless.test ESMTP\r\n")
            connection.recv(1000)
            while True:
                connection.sendall(b"250-x\r\n" * 2000)
                flooded.append(connection)
        except OSError:
            connection.close()

    try:
        while True:
            threading.Thread(target=answer, args=(server.accept()[0],),
                             daemon=True).start()
    except OSError:
        pass


def test_a_next_hop_without_end(new_relay, users, sink):
    """As the README's smtpd.conf relays, it stops nobody else's mail."""
    sample = re.search('^ *action "relay" relay(.*)$',
                       (SOURCE / "README.md").read_text(), re.MULTILINE)[1]
    flooded = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=flood, args=(server, flooded),
                         daemon=True).start()
        endless = server.getsockname()[1]
        relay = new_relay(kind="rel", rules=[
            'action "endless" relay host smtp://127.0.0.1:%d%s' % (
                endless, sample),
            'match auth from any for domain "endless.test" action "endless"',
            *rules(sink, sample)])
        alice(users)
        users.add("bob", PASSWORD, account="acme", mode="all")
        with log_in(relay) as session, log_in(relay, name="bob") as other:
            assert session.message(recipients=["bob@endless.test"]
                                   ).startswith("250")
            wait_until(lambda: flooded, 60, "the next hop")
            for _ in range(10):
                assert send(other, "good").startswith("250")
