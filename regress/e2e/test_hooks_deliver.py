# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers-hook deliver: every event at least once, to a panel and by mail,
whatever ends, hangs or lies."""

import email
import email.policy
import os
import re
import time

import pytest

from hooks.panelhost import Deliverer, Panel, add
from hooks.panelsite import Site
from places import workdir
from redisserver import ReplyError, RedisServer, wait_until
from topologies import Cluster


@pytest.fixture
def panel():
    panel = Panel()
    yield panel
    panel.close()


@pytest.fixture
def delivering(site):
    """Starts it: delivering(panel={...}), a section by name."""
    started = []

    def start(**sections):
        started.append(Deliverer(site, **sections).start())
        return started[-1]

    yield start
    for deliverer in started:
        deliverer.stop()


def has(panel, count):
    wait_until(lambda: len(panel.had) >= count, 90, "%d events" % count)
    return panel.kinds()


# The panel

def test_a_panel_is_told(site, delivering, tls):
    """By TLS, signed, with all that an event has."""
    panel = Panel(tls)
    try:
        deliverer = delivering(panel={"url": panel.url, "ca": tls[0],
                                      "server": "relay1"})
        real = add(site.server, id="0123456789abcdef", kind="limit.near",
                   user="alice", account="acme", limit="1000", relay="mx1")
        add(site.server, kind="of a stranger")
        assert has(panel, 2) == ["limit.near", "of a stranger"]
        first, second = panel.had
        assert re.fullmatch("20[0-9-]+T[0-9:]+Z", first.pop("time"))
        assert first == {"id": "0123456789abcdef", "entry": real,
                         "kind": "limit.near", "user": "alice",
                         "account": "acme", "limit": "1000", "relay": "mx1"}
        assert second["id"] == second["entry"]
        assert panel.headers[0]["Smtpusers-Server"] == "relay1"
        assert panel.headers[0]["Content-Type"] == "application/json"
        deliverer.settled("panel")
    finally:
        panel.close()


def test_who_is_not_the_panel_is_told_nothing(site, delivering, tls):
    """One whose certificate is of nobody that is known."""
    panel = Panel(tls)
    try:
        deliverer = delivering(panel={"url": panel.url})
        add(site.server, kind="secret")
        wait_until(lambda: "events wait: localhost: " in deliverer.said(), 90,
                   "the failure")
        assert panel.had == [] and deliverer.pending("panel") == 1
    finally:
        panel.close()


def test_kinds(site, panel, delivering):
    deliverer = delivering(panel={"url": panel.url,
                                  "kinds": "limit.* user.blocked"})
    for kind in ("user.allowed", "limit.near", "xlimit.near", "user.blocked"):
        add(site.server, kind=kind)
    add(site.server, no="kind")
    deliverer.settled("panel")
    assert panel.kinds() == ["limit.near", "user.blocked"]


def test_what_happened_before_it_was_started(site, panel, delivering):
    add(site.server, "%d-0" % ((time.time() - 90000) * 1000), kind="old")
    add(site.server, kind="new")
    deliverer = delivering(panel={"url": panel.url})
    deliverer.settled("panel")
    assert panel.kinds() == ["new"]
    assert "is given up: it is older than 86400 s" in deliverer.said()


@pytest.mark.parametrize("status", [500, 503, 404, 401, 301, 302, 204.5])
def test_an_answer_that_is_none(site, panel, delivering, status):
    """It is tried again until it is taken; a redirect is not followed."""
    left = [status, status]

    def answer(event):
        if not left or event["kind"] == "good":
            return 200
        left.pop()
        if status == 204.5:
            return lambda handler: handler.wfile.write(b"HELO\r\n\r\n")
        return lambda handler: handler.reply(
            status, Location="http://127.0.0.1:%d/stolen" % panel.port)

    panel.answer = answer
    deliverer = delivering(panel={"url": panel.url})
    bad = add(site.server, kind="bad")
    add(site.server, kind="good")
    deliverer.settled("panel")
    assert panel.kinds().count("good") == 1
    tried = [event for event in panel.had if event["kind"] == "bad"]
    assert len(tried) == 3 and {event["entry"] for event in tried} == {bad}
    assert "events wait: 127.0.0.1" in deliverer.said()
    assert "events are delivered again" in deliverer.said()


@pytest.mark.parametrize("status", [400, 409, 413])
def test_what_a_panel_never_takes(site, panel, delivering, status):
    panel.answer = lambda event: status if event["kind"] == "bad" else 202
    deliverer = delivering(panel={"url": panel.url})
    bad = add(site.server, kind="bad")
    add(site.server, kind="good")
    deliverer.settled("panel")
    assert panel.kinds() == ["bad", "good"]
    assert "event %s is given up: 127.0.0.1 answers %d" % (
        bad, status) in deliverer.said()


def hang(handler):
    """Until the other side goes."""
    handler.rfile.read(1)


def trickle(handler):
    try:
        while True:
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.05)
    except OSError:
        return


def flood(handler):
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            handler.wfile.write(b"X-Flood: " + b"x" * 1000 + b"\r\n")
    except OSError:
        return


@pytest.mark.parametrize("poison", [hang, trickle, flood])
def test_one_event_that_hangs_stops_no_other(site, panel, delivering, poison):
    panel.answer = lambda event: poison if event["kind"] == "bad" else 200
    deliverer = delivering(panel={"url": panel.url})
    add(site.server, kind="bad")
    for n in range(20):
        add(site.server, kind="k%d" % n)
    wanted = ["k%d" % n for n in range(20)]
    wait_until(lambda: [kind for kind in panel.kinds() if kind != "bad"] ==
               wanted, 90, "the others")
    wait_until(lambda: deliverer.pending("panel") == 1, 90, "what is left")
    panel.answer = lambda event: 200
    deliverer.settled("panel")
    assert panel.kinds().count("bad") >= 2


def test_a_panel_that_is_away(site, delivering, panel):
    """Nothing is lost."""
    deliverer = delivering(panel={"url": panel.url})
    add(site.server, kind="first")
    has(panel, 1)
    panel.close()
    for n in range(3):
        add(site.server, kind="k%d" % n)
    wait_until(lambda: deliverer.pending("panel") > 0, 90, "a failure")
    again = Panel()
    try:
        site.file.write_text(site.file.read_text().replace(
            panel.url, again.url))
        deliverer.kill()
        deliverer.start()
        deliverer.settled("panel")
        # One may have gone by the connection that was kept.
        assert {*panel.kinds(), *again.kinds()} == {"first", "k0", "k1", "k2"}
    finally:
        again.close()


def test_events_of_many_fields(site, panel, delivering):
    """What a stranger has written there is carried as it is, or given up."""
    deliverer = delivering(panel={"url": panel.url})
    for value in (b"\xff\xfe\x00", b"two\r\nlines: x\r\n\r\nGET /", b"",
                  b"x" * 1000000, "\u202e".encode()):
        site.server.cli("XADD", "smtp:events", "*", "kind", value, "id",
                        value, "user", value, value, value, "time", value)
    deliverer.settled("panel")
    assert len(panel.had) == 5
    assert len({event["id"] for event in panel.had}) == 5


# Ends

def test_nothing_is_lost_when_it_is_killed(site, panel, delivering):
    """In the middle of an event, whose repetition has the same id."""
    deliverer = delivering(panel={"url": panel.url})
    for n in range(12):
        add(site.server, id="%016x" % n, kind="k%d" % n)
    for kills in (3, 6, 9):
        has(panel, kills)
        deliverer.kill()
        deliverer.start()
    panel.answer = lambda event: hang
    count = len(panel.had)
    add(site.server, id="f" * 16, kind="last")
    has(panel, count + 1)
    deliverer.kill()
    panel.answer = lambda event: 200
    deliverer.start()
    deliverer.settled("panel")
    assert {event["id"] for event in panel.had} == {
        *("%016x" % n for n in range(12)), "f" * 16}
    assert len({(event["id"], event["entry"]) for event in panel.had}) == 13


def test_two_at_once(site, panel, delivering):
    """Share the events; each is delivered once where nothing fails."""
    deliverer = delivering(panel={"url": panel.url})
    deliverer.start()
    for n in range(200):
        add(site.server, kind="k%d" % n)
    deliverer.settled("panel")
    assert sorted(panel.kinds()) == sorted("k%d" % n for n in range(200))


def test_what_one_left_behind_another_takes(site, panel, delivering):
    panel.answer = lambda event: hang
    deliverer = delivering(panel={"url": panel.url})
    deliverer.start()
    add(site.server, kind="left")
    has(panel, 1)
    os.kill(deliverer.processes[0].pid, 9)
    panel.answer = lambda event: 200
    deliverer.settled("panel")
    assert set(panel.kinds()) == {"left"}
    for process in deliverer.processes[:]:
        if process.poll() is not None:
            process.communicate()
            deliverer.processes.remove(process)


def test_redis_goes_and_comes(prefix):
    """It was never there, is started again, loses all that it had."""
    panel = Panel()
    extra = ("--appendonly", "yes", "--appendfsync", "always")
    server = RedisServer(workdir("redis"), extra=extra).start()
    try:
        site = Site(prefix, server)
        deliverer = Deliverer(site, panel={"url": panel.url})
        server.stop()
        deliverer.start()
        wait_until(lambda: "events wait: cannot connect" in deliverer.said(),
                   90, "the failure")
        for n, restart in enumerate((None, server.stop, server.kill)):
            if restart:
                restart()
            server.start()
            deliverer.grant(server)
            add(server, kind="k%d" % n)
            wait_until(lambda n=n: "k%d" % n in panel.kinds(), 90, "the event")
        server.cli("FLUSHALL")
        add(server, kind="after")
        wait_until(lambda: "after" in panel.kinds(), 90, "the next one")
        assert {"k0", "k1", "k2"} < set(panel.kinds())
        server.cli("XGROUP", "DESTROY", "smtp:events", "panel")
        add(server, kind="last")
        wait_until(lambda: "last" in panel.kinds(), 90, "the next one")
        server.cli("CLIENT", "KILL", "TYPE", "normal")
        server.cli("DEL", "smtp:events")
        server.cli("SET", "smtp:events", "x")
        wait_until(lambda: "WRONGTYPE" in deliverer.said(), 90, "the failure")
        server.cli("DEL", "smtp:events")
        add(server, kind="end")
        wait_until(lambda: "end" in panel.kinds(), 90, "the next one")
        deliverer.stop()
    finally:
        server.stop()
        panel.close()


class Everywhere:
    """A user of Redis is made, and ended, on each server of a cluster."""

    def __init__(self, cluster):
        self.cluster = cluster

    def __getattr__(self, name):
        return getattr(self.cluster, name)

    def cli(self, *words):
        if words[0] != "ACL":
            return self.cluster.cli(*words)
        return [server.cli(*words) for server in self.cluster.alive()][0]


def test_a_cluster(prefix):
    """Also where the server of the stream dies, as far as it was replicated."""
    panel = Panel()
    try:
        with Cluster() as cluster:
            server = Everywhere(cluster)
            deliverer = Deliverer(Site(prefix, server), panel={
                "url": panel.url}, ops={"mail": "ops@ops.example"}).start()
            for n in range(5):
                add(server, kind="k%d" % n)
            deliverer.settled("panel")
            deliverer.settled("ops")
            assert panel.kinds() == ["k%d" % n for n in range(5)]
            assert len(deliverer.mails()) == 5
            cluster.owner("smtp:events").kill()
            wait_until(lambda: added(server, kind="after"), 90,
                       "another primary")
            wait_until(lambda: "after" in panel.kinds(), 90, "the event")
            deliverer.stop()
    finally:
        panel.close()


def added(server, **fields):
    try:
        return add(server, **fields)
    except (OSError, ReplyError):
        return False


# Mail

def parsed(mail):
    """The arguments of sendmail, and the message."""
    words, _, text = mail.partition("\n")
    return words.split(), email.message_from_string(
        text, policy=email.policy.default)


def mailed(deliverer, count):
    wait_until(lambda: len(deliverer.mails()) >= count, 90, "the mails")
    return [parsed(mail) for mail in deliverer.mails()]


def test_people_are_mailed(site, delivering):
    deliverer = delivering(customers={"mail": "{account}@panel.example"})
    add(site.server, id="0123456789abcdef", kind="limit.reached",
        user="alice", account="Acme", limit="5", relay="mx1")
    add(site.server, kind="of no account", user="alice")
    add(site.server, kind="of a strange one", account="a b@evil.example")
    (words, message), = mailed(deliverer, 1)
    assert words == ["-i", "-f", "relay@relay.example", "--",
                     "acme@panel.example"]
    assert message["To"] == "acme@panel.example"
    assert message["From"] == "relay@relay.example"
    assert message["Subject"] == "limit.reached alice Acme"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == \
        "<0123456789abcdef.customers@relay.example>"
    text = message.get_content()
    assert "user:    alice\n" in text and "limit: 5\n" in text
    deliverer.settled("customers")
    assert len(deliverer.mails()) == 1


def test_at_most_one_mail_an_hour(site, delivering):
    deliverer = delivering(ops={"mail": "ops@ops.example"})
    for kind, user in (("a", "alice"), ("a", "alice"), ("a", "bob"),
                       ("b", "alice"), ("a", "alice"), ("b", "alice")):
        add(site.server, kind=kind, user=user)
    add(site.server, kind="c")
    add(site.server, kind="c")
    deliverer.settled("ops")
    assert len(deliverer.mails()) == 4
    for key in site.server.cli("KEYS", "smtp:mailed:*"):
        assert 3000 < site.server.cli("TTL", key) <= 3600
        site.server.cli("DEL", key)
    add(site.server, kind="a", user="alice")
    deliverer.settled("ops")
    assert len(deliverer.mails()) == 5


@pytest.mark.parametrize("how, words", [
    ("fail", "no room"), ("hang", "sendmail takes too long")])
def test_a_sendmail_that_fails(site, panel, delivering, how, words):
    """Its mail is tried again, and the panel is told all the same, once."""
    deliverer = delivering(ops={"mail": "ops@ops.example"},
                           panel={"url": panel.url})
    deliverer.mailing(how)
    add(site.server, kind="bad", user="alice")
    add(site.server, kind="bad", user="alice")
    wait_until(lambda: words in deliverer.said(), 90, "the failure")
    deliverer.settled("panel")
    deliverer.mailing("keep")
    deliverer.settled("ops")
    assert len(deliverer.mails()) == 1 and panel.kinds() == ["bad", "bad"]


def test_a_mail_outlives_its_sender(site, delivering):
    """Killed between the two, it mails again, and not another event."""
    deliverer = delivering(ops={"mail": "ops@ops.example"})
    deliverer.mailing("hang")
    ident = add(site.server, kind="k", user="alice")
    wait_until((deliverer.box / "hangs").exists, 90, "the try")
    assert deliverer.pending("ops") == 1
    assert site.server.cli("KEYS", "smtp:mailed:*")
    deliverer.kill()
    deliverer.mailing("keep")
    deliverer.start()
    deliverer.settled("ops")
    (_, message), = mailed(deliverer, 1)
    assert message["Message-ID"] == "<%s.ops@relay.example>" % ident


HOSTILE = [b"x\r\nBcc: eve@evil.example\r\n\r\nspam", b"\xff\xfe\x00",
           b"=?utf-8?q?=0D=0ABcc:?= x", "\u202eb\u00fccher".encode(),
           b"x" * 100000, b"{kind}{figures}", b"-oQ/tmp", b".\r\n.\r\n", b""]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_fields_are_text(site, delivering, value):
    template = site.directory / "template"
    template.write_text("Subject: {kind} {user} {x} {figures}\n"
                        "X-Limit: {limit}\n\n{kind} {limit}\n{figures}\n")
    deliverer = delivering(ops={"mail": "ops@ops.example",
                                "template": template})
    site.server.cli("XADD", "smtp:events", "*", "kind", value, "user", value,
                    "limit", value, "id", value, "relay", value, value, value,
                    "figures", value, "x", value)
    (words, message), = mailed(deliverer, 1)
    assert words[3:] == ["--", "ops@ops.example"]
    assert set(message.keys()) == {
        "From", "To", "Date", "Message-ID", "Auto-Submitted", "Subject",
        "X-Limit", "Content-Type", "Content-Transfer-Encoding",
        "MIME-Version"}
    assert not message.defects
    assert re.fullmatch(r"<[0-9a-f-]+\.ops@relay\.example>",
                        message["Message-ID"])
    assert "eve@evil.example" not in str(message["To"])
    deliverer.settled("ops")


# The configuration

@pytest.mark.parametrize("keys, words", [
    ({}, "url or mail: one of them"),
    ({"url": "http://panel.example/"}, "neither https nor this host"),
    ({"url": "https://u:p@panel.example/"}, "neither https nor this host"),
    ({"url": "https://panel.example/", "secret_file": "/nonexistent"},
     "No such file"),
    ({"mail": "ops@ops.example", "sender": ""}, "sender: missing"),
    ({"mail": "ops@ops.example, eve@evil.example"}, "not a plain address"),
    ({"mail": "-oQx@evil.example"}, "not a plain address"),
    ({"mail": "{relay}@ops.example"}, "not a plain address"),
    ({"mail": "a@b.example", "template": "/etc/passwd"}, "no empty line"),
    ({"mail": "a@b.example", "url": "https://panel.example/"},
     "one of them"),
    ({"mail": "a@b.example", "retry": 2}, "no more than timeout"),
    ({"mail": "a@b.example", "colour": "red"}, "unknown")])
def test_what_is_wrong_is_told_at_once(site, keys, words):
    deliverer = Deliverer(site, bad=keys)
    assert words in deliverer.fails()
    deliverer.stop()


def test_no_section_and_no_root(site):
    deliverer = Deliverer(site)
    assert "no section" in deliverer.fails()
    os.chown(site.spool, 0, 0)
    assert "does not run as root" in deliverer.fails()
    deliverer.stop()
