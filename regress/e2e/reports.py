# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What the relay says of a message: its reply, its report, the user's log."""

import re

from places import REPORT_URL
from redisserver import wait_until
from session import Session

PASSWORD = "Open-Sesame1"
OK = "235 2.0.0 Authentication succeeded"
REPORT_DAYS = 30


def report_id(reply, name):
    """The id of an [ACL] reply, or None if it is none."""
    found = re.fullmatch(
        r"550 5\.7\.1 \[ACL\] Blocked\. See %s\?id=(\d{18})&auth=%s" % (
            re.escape(REPORT_URL), re.escape(name)), reply)
    return found and found.group(1)


def fields(flat):
    return dict(zip(flat[::2], flat[1::2]))


def report(redis, ident, prefix="smtp:"):
    """The report of that id, once it is there."""
    key = "%sreport:{%s}" % (prefix, ident)
    return fields(wait_until(lambda: redis.cli("HGETALL", key), 20,
                             "the report " + ident))


def blocked(redis, reply, name="alice"):
    """The report that a reply leads to."""
    ident = report_id(reply, name)
    assert ident, reply
    return report(redis, ident)


def entries(redis, name, prefix="smtp:", parts=("log", "failed")):
    """The user's log, oldest first."""
    found = []
    for part in parts:
        key = "%suser:{%s}:%s" % (prefix, name, part)
        found += redis.cli("XRANGE", key, "-", "+")
    found.sort(key=lambda entry: [int(n) for n in entry[0].split("-")])
    return [fields(values) for _, values in found]


def log(redis, name, count):
    """The user's log, once it has so many entries."""
    wait_until(lambda: len(entries(redis, name)) >= count, 20,
               "%d entries in the log of %s" % (count, name))
    found = entries(redis, name)
    assert len(found) == count, found
    return found


def message(header, mark="judged"):
    """A message with these header lines and others that everybody has."""
    lines = header if isinstance(header, bytes) else header.encode()
    return (lines + b"\r\nTo: <bob@example.com>\r\nSubject: %s\r\n"
            b"Message-ID: <%s@client.test>\r\n\r\n%s\r\n" % (
                (mark.encode(),) * 3))


def from_header(address):
    return "From: Alice <%s>" % address


def try_message(session, sender, header, mark="judged"):
    """Where a message ended, and the reply that it got there."""
    if not (reply := session.mail(sender)).startswith("250"):
        return "MAIL FROM", reply
    if not (reply := session.rcpt()).startswith("250"):
        return "RCPT TO", reply
    return "end of data", session.data(message(header, mark))


def never_arrives(relay, users, sink, mark):
    """A later message of another user's arrives, the one with mark did not."""
    last = "after-" + mark
    users.add("zoe", "Last-Word-33")
    with Session(relay) as session:
        assert session.plain("zoe", "Last-Word-33") == OK
        assert session.message(last).startswith("250")
    sink.wait_for(last.encode())
    subject = b"Subject: %s\r\n" % mark.encode()
    assert not [m for m in sink.messages if subject in m.data]


def judge(relay, redis, name, sender, header, password=PASSWORD):
    """Where and why a message is blocked in a session of its own, or None."""
    with Session(relay) as session:
        assert session.plain(name, password) == OK
        where, reply = try_message(session, sender, header)
    if reply.startswith("250"):
        return None
    return where, blocked(redis, reply, name)["reason"]
