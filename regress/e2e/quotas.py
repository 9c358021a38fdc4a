# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""Quotas: the functions as redis-cli calls them, and messages one by one."""

import time

from linedriver import FilterDriver
from places import build, configuration, workdir

LUA = build() / "smtpusers.lua"
SOURCE_ADDRESS = "192.0.2.1"


class Functions:
    """The library's functions for one user, or account, by FCALL."""

    def __init__(self, redis, name="alice", prefix="smtp:", kind="user"):
        self.redis = redis
        self.user = "%s%s:{%s}" % (prefix, kind, name)
        self.told = []
        redis.cli("FUNCTION", "LOAD", "REPLACE", LUA.read_text())

    def call(self, function, hold="none", *args, period="1d"):
        reply = self.redis.cli(
            "FCALL", "smtpusers_" + function, 4, self.user,
            self.user + ":used:quota", self.user + ":used:rate",
            self.user + ":used:hold:" + hold, period, *args)
        if function in ("check", "reserve", "keep", "refund"):
            # The version of the functions is behind.
            assert isinstance(reply.pop(), int)
            # And before it, what is to be told.
            while isinstance(reply[-1], list):
                self.told.append(reply.pop())
        return reply

    def used(self):
        """What is charged, by limit."""
        reply = self.call("usage")
        assert reply[0] == "ok", reply
        return used_of(reply[1:])

    def used_by(self):
        """What is charged, by sender domain and limit."""
        found, start = {}, "0"
        while True:
            word, start, *rows = self.call("sender_usage", "none", start)
            assert word == "ok", (word, start)
            found.update((row[0], used_of(row[1:])) for row in rows)
            if start == "0":
                return found


def used_of(rows):
    return {row[0] if row[0].endswith("quota") else
            "%s/%s" % (row[1], row[2]): int(row[3]) for row in rows}


class Sender:
    """A filter, without smtpd, for the user of one source address."""

    def __init__(self, url, kind="san", executable=None,
                 source=SOURCE_ADDRESS, relays=False, **keys):
        conf = configuration(redis=url, spf="off", **keys)
        self.driver = FilterDriver(workdir("sender"), conf, kind=kind,
                                   executable=executable, relays=relays)
        self.source = source
        self.sessions = 0
        self.session = None
        self.msgids = 0

    def __enter__(self):
        self.driver.__enter__()
        return self

    def __exit__(self, *why):
        self.driver.__exit__(*why)

    def open(self):
        self.sessions += 1
        self.session = "%016x" % self.sessions
        self.driver.connect(self.session, self.source + ":40000")

    def close(self):
        self.driver.disconnect(self.session)
        self.session = None

    def mail(self, sender="a@example.org"):
        if self.session is None:
            self.open()
        return self.driver.ask("mail-from", self.session, sender)

    def commit(self, recipients=1, author="a@example.org"):
        """To the end of data, after a MAIL FROM that was let through."""
        self.msgids += 1
        self.msgid = "%08x" % self.msgids
        self.report("tx-begin")
        for number in range(recipients):
            recipient = "b%d@example.com" % number
            self.driver.ask("rcpt-to", self.session, recipient)
            self.report("tx-rcpt", "ok", recipient)
        for line in ("From: " + author, "", "x", "."):
            self.driver.send("filter|0.7|%.6f|smtp-in|data-line|%s|%016x|%s"
                             % (time.time(), self.session, 1, line))
            self.driver.line()
        return self.driver.ask("commit", self.session)

    def report(self, event, *rest):
        self.driver.report(event, self.session, self.msgid, *rest)

    def message(self, end="tx-commit", recipients=1, author="a@example.org"):
        """The verdict that refuses it, or proceed."""
        verdict = self.mail()
        if verdict != "proceed":
            return verdict
        verdict = self.commit(recipients, author)
        self.report(end if verdict == "proceed" else "tx-rollback", "100")
        return verdict

    def send(self, count, **how):
        """How many of so many messages are accepted."""
        return sum(self.message(**how) == "proceed" for _ in range(count))


def limited(users, name="alice", source=SOURCE_ADDRESS, **limits):
    """A user of a source address, with limits."""
    users.add(name, **limits)
    users.ip_auth(name, source)
