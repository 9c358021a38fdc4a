# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Messages come out as they went in, and sessions may be used as they like."""

import random
import socket

import pytest

from redisserver import wait_until
from session import Closed, Session, b64, simple, together

OK = "235 2.0.0 Authentication succeeded"
PASSWORD = "Open-Sesame1"
HEAD = b"From: <alice@example.org>\r\nSubject: %s\r\n\r\n"

BODIES = {
    "empty": b"",
    "dots": b".\r\n..\r\n...\r\n.a\r\n.. b\r\nend.\r\n",
    "trailing-dots": b"text\r\n..\r\n.\r\n.\r\n",
    "pipes": b"|\r\n||\r\na|b|c\r\nfilter-result|0|0|proceed\r\n"
             b"filter-dataline|0123456789abcdef|0123456789abcdef|x\r\n",
    "protocol": b"report|0.7|1.0|smtp-in|link-disconnect|0\r\n"
                b"register|ready\r\nconfig|ready\r\n",
    "empty-lines": b"\r\n" * 500 + b"x" + b"\r\n" * 500,
    "eight-bit": bytes(n for n in range(1, 256) if n not in (10, 13)) + b"\r\n",
    "utf-8": "Grüße aus Köln, Ω | ∞\r\n".encode() * 50,
    "percent": b"%s%n%d\r\n" * 20,
    "spaces": b"   \r\n\t\r\n trailing \t \r\n",
    "long-lines": (b"y" * 998 + b"\r\n") * 300,
    "longest-line": b"z" * 65000 + b"\r\n" + b"short\r\n",
}


@pytest.fixture
def alice(relay, users):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        yield session


def test_bodies_arrive_byte_for_byte(alice, sink):
    for kind, body in BODIES.items():
        content = HEAD % (b"body-" + kind.encode()) + body
        assert alice.message(content=content).startswith("250"), kind
    for kind, body in BODIES.items():
        mark = b"Subject: body-%s\r\n" % kind.encode()
        assert sink.wait_for(mark).body == body, kind


def test_twenty_megabytes(alice, sink):
    seed = random.Random(7)
    letters = bytes(n for n in range(1, 256) if n not in (10, 13))
    lines = [b".", b"..", b"|", b"", b".|.", b"a|b"]
    lines += [bytes(seed.choices(letters, k=seed.randrange(1, 900)))
              for _ in range(2000)]
    chosen = seed.choices(lines, k=47000)
    body = b"\r\n".join(chosen) + b"\r\n"
    assert len(body) > 20_000_000
    assert alice.message(content=HEAD % b"large" + body).startswith("250")
    message = sink.wait_for(b"Subject: large\r\n")
    # No assert on the texts: a difference of 20 MB is not fit to print.
    same = message.body == body
    assert same, (len(message.body), len(body))


def test_others_go_on_beside_a_large_message(relay, users, sink):
    users.add("alice", PASSWORD)
    with Session(relay) as big, Session(relay) as small:
        for session in (big, small):
            assert session.plain("alice", PASSWORD) == OK
        big.mail()
        big.rcpt()
        assert big.command("DATA").startswith("354")
        big.send(HEAD % b"big")
        for part in range(20):
            big.send((b"x" * 78 + b"\r\n") * 1000)
            assert small.message("small-%d" % part).startswith("250")
        assert big.finish("big-end\r\n").startswith("250")
    for mark in [b"big-end"] + [b"small-%d\r\n" % n for n in range(20)]:
        sink.wait_for(mark)


def heard(call, *args, **keys):
    """The reply, or "" where smtpd ends the connection before it is read."""
    try:
        return call(*args, **keys)
    except (Closed, OSError):
        return ""


def test_a_line_of_100_kilobytes_is_smtpds_to_refuse(relay, users, sink):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        content = HEAD % b"too-long" + b"x" * 100_000 + b"\r\n"
        reply = heard(session.message, content=content)
        assert reply in ("", "500 5.0.0 Line too long")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message("not-too-long").startswith("250")
    sink.wait_for(b"Subject: not-too-long")
    assert not [m for m in sink.messages if b"Subject: too-long" in m.data]


def test_a_command_of_100_kilobytes_is_smtpds_to_refuse(relay, users):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        reply = heard(session.command, "AUTH PLAIN " + "A" * 100_000)
        assert reply in ("", "500 5.0.0 Line too long")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK


def test_nul_bare_cr_and_bare_lf_pass_as_smtpd_passes_them(alice, sink):
    body = b"a\rb\r\nlone\nlf\r\nnul>\0<nul\r\nlast\r\n"
    alice.mail()
    alice.rcpt()
    assert alice.command("DATA").startswith("354")
    assert alice.finish(HEAD % b"odd" + body).startswith("250")
    message = sink.wait_for(b"Subject: odd\r\n")
    # smtpd's own queue ends a line at a NUL, and takes a bare LF as an end.
    assert message.body == b"a\rb\r\nlone\r\nlf\r\nnul>\r\nlast\r\n"


def test_several_messages_in_a_session(alice, sink):
    for n in range(30):
        assert alice.message("serial-%d" % n).startswith("250")
    for n in range(30):
        sink.wait_for(b"Subject: serial-%d\r\n" % n)


def test_rset_at_every_stage(alice, sink):
    stages = [[], [alice.mail], [alice.mail, alice.rcpt],
              [alice.mail, alice.rcpt, alice.rcpt]]
    for stage in stages:
        for step in stage:
            assert step().startswith("250")
        assert alice.command("RSET").startswith("250")
        assert alice.rcpt().startswith("503")
    assert alice.message("after-rset").startswith("250")
    assert sink.wait_for(b"after-rset").recipients == ["bob@example.com"]


def test_many_recipients_and_the_null_sender(alice, sink):
    many = ["user%d@example.com" % n for n in range(100)]
    assert alice.message("many", sender="", recipients=many).startswith("250")
    found = set()

    def arrived():
        for message in list(sink.messages):
            if b"Subject: many\r\n" in message.data:
                assert message.sender == ""
                found.update(message.recipients)
        return len(found) == 100
    wait_until(arrived, 30, "a hundred recipients")


@pytest.mark.parametrize("commands", [
    ["MAIL FROM:<alice@example.org>", "RCPT TO:<bob@example.com>", "DATA"],
    ["AUTH PLAIN " + b64("", "bob", PASSWORD), "MAIL FROM:<a@example.org>"],
    ["RSET", "RSET"], ["NOOP", "MAIL FROM:<alice@example.org>"]])
def test_pipelined_commands_are_smtpds_to_refuse(relay, users, commands):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        session.send("".join(line + "\r\n" for line in commands))
        assert "Pipelining not supported" in session.read()
        assert session.closed()


def test_commands_behind_the_end_of_data(relay, users, sink):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        session.mail()
        session.rcpt()
        assert session.command("DATA").startswith("354")
        session.send(simple("piped") + ".\r\nMAIL FROM:<a@example.org>\r\n")
        assert "Pipelining not supported" in session.read()
        assert session.closed()
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message("unpiped").startswith("250")
    sink.wait_for(b"unpiped")
    assert not [m for m in sink.messages if m.body == b"piped\r\n"]


def begin(session):
    assert session.plain("alice", PASSWORD) == OK


def half_a_line(session):
    begin(session)
    session.send("MAIL FRO")


def after_mail(session):
    begin(session)
    session.mail()


def after_rcpt(session):
    after_mail(session)
    session.rcpt()


def after_data(session):
    after_rcpt(session)
    assert session.command("DATA").startswith("354")


def in_the_message(session):
    after_data(session)
    session.send(simple() + "half a li")


def before_the_last_reply(session):
    after_data(session)
    session.send(simple("maybe") + ".\r\n")


def before_the_mail_reply(session):
    begin(session)
    session.send("MAIL FROM:<alice@example.org>\r\n")


def before_the_auth_reply(session):
    session.send("AUTH PLAIN %s\r\n" % b64("", "alice", PASSWORD))


def before_a_refusal(session):
    session.send("AUTH PLAIN %s\r\n" % b64("", "alice", "wrong-word"))


def before_the_password(session):
    assert session.command("AUTH LOGIN " + b64("alice")).startswith("334")


def at_once(_):
    pass


@pytest.mark.parametrize("stage", [
    at_once, before_the_auth_reply, before_a_refusal, before_the_password,
    begin, half_a_line, before_the_mail_reply, after_mail, after_rcpt,
    after_data, in_the_message, before_the_last_reply])
@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.3"])
def test_dropped_connections(relay, users, sink, stage, source):
    users.add("alice", PASSWORD)
    for hard in (False, True):
        session = Session(relay, source)
        stage(session)
        if hard:
            session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                      b"\1\0\0\0\0\0\0\0")
        session.drop()
    with Session(relay, source) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message("survived").startswith("250")
    sink.wait_for(b"survived")


def test_two_hundred_sessions_at_once(relay, users, sink):
    count = 200
    names = ["user%d" % n for n in range(20)]
    for name in names:
        users.add(name, "Word-of-" + name)
    sessions = together(Session, [(relay,)] * count)

    def log_in(number, session):
        name = names[number % len(names)]
        assert session.plain(name, "Word-of-" + name) == OK

    def send(number, session):
        reply = session.message("crowd-%d." % number)
        assert reply.startswith("250"), reply
        session.drop()
    together(log_in, enumerate(sessions), count)
    together(send, enumerate(sessions), count)
    expected = {b"crowd-%d.\r\n" % n for n in range(count)}
    wait_until(lambda: expected <= {m.body for m in list(sink.messages)}, 60,
               "every message of the crowd")
