# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The corpus of header sections on its way through smtpd: what passes arrives
as it was sent, and what is refused for what smtpd would make of it, it makes
of it."""

import re
import sys

import pytest

from places import SOURCE
from reports import blocked, message
from session import Session

sys.path.insert(0, str(SOURCE / "regress" / "differential"))
import corpus  # noqa: E402

PASSWORD = "Open-Sesame1"
DOMAINS = ["ok.example", "ok2.example", "xn--bcher-kva.example"]
# A session takes a hundred messages.
MANY = 90


def batches(name, only=lambda expected: True):
    """Numbered, without what smtpd itself takes for no header at all."""
    entries = [(number, expected, section) for number, (expected, section)
               in enumerate(corpus.load(name))
               if only(expected) and b"\0" not in section and
               not section.startswith((b" ", b"\t"))]
    return [entries[at:at + MANY] for at in range(0, len(entries), MANY)]


def sent(section, number):
    return message(section.replace(b"\n", b"\r\n"), "number-%d-" % number)


def from_fields(text):
    return re.findall(rb"(?mi)^from:.*\r?\n(?:[ \t].*\r?\n)*", text)


def send_all(relay, entries, sender=""):
    """Each and its reply."""
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD).startswith("235")
        for number, expected, section in entries:
            assert session.mail(sender).startswith("250")
            assert session.rcpt().startswith("250")
            yield (number, expected, section,
                   session.data(sent(section, number)))


def arrived(sink, number):
    return sink.wait_for(b"Subject: number-%d-\r\n" % number).head + b"\r\n"


@pytest.mark.parametrize("entries", batches("ordinary.txt"),
                         ids=lambda entries: str(entries[0][0]))
def test_ordinary_mail_arrives_as_it_was_sent(relay, users, sink, entries):
    users.add("alice", PASSWORD, domains=DOMAINS)
    for number, _, section, reply in send_all(relay, entries):
        assert reply.startswith("250"), (reply, section)
    for number, _, section in entries:
        assert from_fields(arrived(sink, number)) == \
            from_fields(sent(section, number)), section


@pytest.mark.parametrize("entries", batches("hostile.txt"),
                         ids=lambda entries: str(entries[0][0]))
def test_hostile_mail_is_blocked(relay, redis, users, sink, entries):
    users.add("alice", PASSWORD, domains=DOMAINS)
    for number, expected, section, reply in send_all(relay, entries):
        if reply.startswith("550 5.7.1 [ACL]"):
            reason = blocked(redis, reply)["reason"]
            assert reason == expected or (
                reason == "bounce" and b"daemon@" in section.lower()), section
        else:
            # smtpd takes it for no message.
            assert re.match(r"5\d\d ", reply), (reply, section)
    assert not [m for m in sink.messages if b"Subject: number-" in m.data]


def test_what_smtpd_would_complete(new_relay, users, sink):
    """Refused for it alone; so were it not, it would be somebody else's."""
    relay = new_relay(enforce=["envelope"])
    users.add("alice", PASSWORD, domains=DOMAINS)
    for entries in batches("hostile.txt",
                           lambda reason: reason == "from-comma"):
        for number, _, section, reply in send_all(relay, entries,
                                                  "alice@ok.example"):
            assert reply.startswith("250"), (reply, section)
        for number, _, section in entries:
            (made,) = from_fields(arrived(sink, number))
            (was,) = from_fields(sent(section, number))
            assert made != was and made.count(b"@") > was.count(b"@"), section


@pytest.mark.parametrize("name", ["Mailer-Daemon", "MAILER-DAEMON",
                                  "postmaster"])
def test_bounces_are_from_the_host(relay, redis, users, sink, name):
    host = "server_1.hosting.example"
    lines = ("From: Mail Delivery System <%s@%s>" % (name, host)).encode()
    users.add("alice", PASSWORD, domains=DOMAINS)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD).startswith("235")
        for sender, reason in (("", "bounce"),
                               ("alice@ok.example", "domain-not-assigned")):
            assert session.mail(sender).startswith("250")
            assert session.rcpt().startswith("250")
            found = blocked(redis, session.data(message(lines, "returned")))
            assert (found["reason"], found["domain"]) == (reason, host)
        redis.cli("SADD", "smtp:user:{alice}:domains", host)
        assert session.mail("").startswith("250")
        assert session.rcpt().startswith("250")
        assert session.data(message(lines, "returned")).startswith("250")
    assert lines in sink.wait_for(b"returned").head
