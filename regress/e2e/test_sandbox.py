# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Users of the status sandboxed: all is checked, nothing is delivered."""

from redisserver import wait_until
from reports import OK, PASSWORD, blocked, log, never_arrives
from session import Session, simple

SANDBOX = b"sandbox@sandbox.invalid"


def queue(relay):
    """A line for every envelope that is in the queue."""
    return relay.ctl("show", "queue").stdout.splitlines()


def test_accepted_and_delivered_nowhere(relay, redis, users, sink):
    users.add("alice", PASSWORD, status="sandboxed")
    swallowed = relay.log().count("Delivered")
    many = ["user%d@example.com" % n for n in range(5)]
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        for n in range(3):
            assert session.message("sandboxed", recipients=many).startswith(
                "250 2.0.0")
    wait_until(lambda: not queue(relay), 30, "the queue to be empty")
    wait_until(lambda: relay.log().count("Delivered") >= swallowed + 3, 30,
               "the sandbox to swallow it")
    never_arrives(relay, users, sink, "sandboxed")
    found = log(redis, "alice", 4)[1:]
    assert [(entry["result"], entry["recipients"]) for entry in found] == \
        [("accepted", "5")] * 3


def test_everything_is_checked(relay, redis, users, sink):
    users.add("alice", PASSWORD, status="sandboxed", ips=["127.0.0.1"])
    with Session(relay) as session:
        assert session.plain("alice", "wrong-word").startswith("535")
        assert session.plain("alice", PASSWORD) == OK
        found = blocked(redis, session.mail("a@bank.test"))
        assert found["reason"] == "domain-not-assigned"
        assert session.mail().startswith("250")
        assert session.rcpt().startswith("250")
        reply = session.data("From: <a@bank.test>\r\n\r\nbody\r\n")
        assert blocked(redis, reply)["reason"] == "domain-not-assigned"
    with Session(relay, "127.0.0.3") as session:
        assert session.plain("alice", PASSWORD) == \
            "535 5.7.8 IP not authorized"


def test_an_account_is_sandboxed(relay, users, sink):
    users.account("acme", status="sandboxed")
    users.add("alice", PASSWORD, account="acme")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message("sandboxed").startswith("250")
    never_arrives(relay, users, sink, "sandboxed")


def test_sandboxed_while_the_session_is_open(relay, users, sink):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message("before").startswith("250")
        sink.wait_for(b"before")
        users.set("alice", status="sandboxed")
        assert session.message("sandboxed").startswith("250")
        users.set("alice", status="allowed")
        assert session.message("after").startswith("250")
    sink.wait_for(b"after")
    assert not [m for m in sink.messages if b"sandboxed" in m.data]


def test_sandboxed_while_a_message_is_under_way(relay, users, sink):
    """Its recipients are known already, so not this time."""
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.mail().startswith("250")
        assert session.rcpt().startswith("250")
        users.set("alice", status="sandboxed")
        assert session.data(simple("too-late")) == \
            "451 4.3.0 Temporary failure"
    never_arrives(relay, users, sink, "too-late")


def test_released_while_a_message_is_under_way(relay, users, sink):
    users.add("alice", PASSWORD, status="sandboxed")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.mail().startswith("250")
        assert session.rcpt().startswith("250")
        users.set("alice", status="allowed")
        assert session.data(simple("too-early")).startswith("250")
    never_arrives(relay, users, sink, "too-early")


def test_others_are_not_swallowed(relay, users, sink):
    users.add("alice", PASSWORD)
    users.add("bob", PASSWORD, status="sandboxed")
    with Session(relay) as one, Session(relay) as two:
        assert one.plain("alice", PASSWORD) == OK
        assert two.plain("bob", PASSWORD) == OK
        assert one.mail().startswith("250")
        assert two.mail().startswith("250")
        assert one.rcpt("carol@example.com").startswith("250")
        assert two.rcpt("dave@example.com").startswith("250")
        assert two.data(simple("of-bob")).startswith("250")
        assert one.data(simple("of-alice")).startswith("250")
    assert sink.wait_for(b"of-alice").recipients == ["carol@example.com"]
    never_arrives(relay, users, sink, "of-bob")


def test_without_the_rule_no_recipient_gets_it(new_relay, users, sink):
    """A relay that looks up exchangers finds none for .invalid."""
    relay = new_relay(rules=[
        'match auth from any for domain "example.com" action "relay"',
        'action "direct" relay',
        'match auth from any for any action "direct"'])
    users.add("alice", PASSWORD, status="sandboxed")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message("sandboxed").startswith("250")
    never_arrives(relay, users, sink, "sandboxed")
    waiting, = queue(relay)
    assert SANDBOX in waiting
