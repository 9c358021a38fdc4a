# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""How messages are bounded: what is beyond a quota, recipients, and size."""

import pytest

from reports import log, never_arrives
from session import Session

PASSWORD = "Open-Sesame1"
RECIPIENTS = "452 4.5.3 Too many recipients, at most 2 in a message"
SIZE = "552 5.3.4 Message too large, at most 2048 bytes"


def log_in(relay, name="alice"):
    session = Session(relay)
    assert session.plain(name, PASSWORD).startswith("235")
    return session


def lines_of(size):
    """A message of so many bytes, in CR LF."""
    head = "From: alice@example.org\r\n\r\n"
    rest = size - len(head)
    body = ""
    while rest > 0:
        take = min(rest, 72)
        take -= 1 if rest - take == 1 else 0
        body += "x" * (take - 2) + "\r\n"
        rest -= take
    assert len(head + body) == size
    return head + body


def send(session, recipients=1, size=200):
    """The replies to RCPT TO, and to the message."""
    assert session.mail().startswith("250")
    replies = [session.rcpt("r%d@example.com" % n) for n in range(recipients)]
    return replies, session.data(lines_of(size))


@pytest.fixture(params=["user", "account", "configuration"])
def bounded(request, new_relay, users):
    """A relay, and a user who is bounded by one of the three."""
    def make(**bounds):
        conf = bounds if request.param == "configuration" else {}
        relay = new_relay(**conf)
        users.account("acme", "example.org",
                      **(bounds if request.param == "account" else {}))
        users.add("alice", PASSWORD, account="acme",
                  **(bounds if request.param == "user" else {}))
        return relay
    return make


def test_recipients(bounded, sink):
    relay = bounded(max_recipients="2")
    with log_in(relay) as session:
        replies, reply = send(session, 4)
        assert [text[:3] for text in replies[:2]] == ["250", "250"]
        assert replies[2:] == [RECIPIENTS, RECIPIENTS]
        assert reply.startswith("250")
        # The next message begins anew.
        replies, reply = send(session, 2)
        assert all(text.startswith("250") for text in replies)
        assert reply.startswith("250")


def test_size(bounded):
    relay = bounded(max_size="2K")
    with log_in(relay) as session:
        # With the Received header that smtpd adds.
        assert send(session, size=1600)[1].startswith("250")
        assert send(session, size=2049)[1] == SIZE
        assert send(session, size=300)[1].startswith("250")


def test_none_where_others_have_one(new_relay, users):
    """0 is said, and is no limit."""
    relay = new_relay(max_recipients="1", max_size="100")
    users.account("acme", "example.org", max_size="100", max_recipients="1")
    users.add("alice", PASSWORD, account="acme", max_size="0",
              max_recipients="0")
    with log_in(relay) as session:
        replies, reply = send(session, 5, 3000)
        assert all(text.startswith("250") for text in replies)
        assert reply.startswith("250")


def test_bad_bounds_are_no_bounds(new_relay, users):
    """What cannot be read lets nothing through."""
    relay = new_relay()
    users.account("acme", "example.org")
    users.add("alice", PASSWORD, account="acme")
    with log_in(relay) as session:
        for field, value in (("max_size", "2k"), ("max_recipients", "many"),
                             ("over", "drop")):
            users.set("alice", **{field: value})
            assert session.mail().startswith("451")
            users.set("alice", **{field: ""})
            assert session.mail().startswith("250")
            session.command("RSET")


def test_the_log_has_the_reply(new_relay, redis, users):
    relay = new_relay()
    users.add("alice", PASSWORD, max_size="2048")
    with log_in(relay) as session:
        assert send(session, size=3000)[1] == SIZE
    assert log(redis, "alice", 2)[1]["reply"] == SIZE


# Beyond a quota of one message

def provision(users):
    """What the other tests have, and a quota."""
    users.set("alice", quota="1", quota_period="1h")


def test_over_is_deferred(bounded, users):
    relay = bounded(over="defer")
    provision(users)
    with log_in(relay) as session:
        assert send(session)[1].startswith("250")
        assert session.mail().startswith(
            "451 4.7.1 [QUOTA] 1 messages per 1h used, try again in ")


def test_over_is_rejected(bounded, users):
    relay = bounded(over="reject")
    provision(users)
    with log_in(relay) as session:
        assert send(session)[1].startswith("250")
        assert session.mail().startswith(
            "550 5.7.1 [QUOTA] 1 messages per 1h used, try again in ")


def test_over_goes_nowhere(bounded, users, sink):
    relay = bounded(over="sandbox")
    provision(users)
    with log_in(relay) as session:
        assert session.message("counted").startswith("250")
        for _ in range(3):
            assert session.message("beyond").startswith("250")
    sink.wait_for(b"counted")
    never_arrives(relay, users, sink, "beyond")


def test_over_between_the_commands(new_relay, users):
    """Recipients that were taken for real are not taken for nothing."""
    relay = new_relay()
    users.add("alice", PASSWORD, over="sandbox", quota="1", quota_period="1h")
    with log_in(relay) as first, log_in(relay) as second:
        for session in (first, second):
            assert session.mail().startswith("250")
            assert session.rcpt().startswith("250")
        assert first.data(lines_of(200)).startswith("250")
        assert second.data(lines_of(200)).startswith("451 4.7.1 [QUOTA]")
        assert send(second)[1].startswith("250")
