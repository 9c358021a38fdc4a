# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What Redis has lost opens nothing: keys go one by one, as they do where
Redis evicts them, and whoever was refused before is refused still."""

import pytest

from cli import Smtpusers
from library import HASH, Library, pairs
from linedriver import FilterDriver, TableDriver
from places import configuration, workdir
from reports import PASSWORD, report_id
from session import Session, together

OK = "235 2.0.0 Authentication succeeded"
FAILED = "535 Authentication failed"
UNLISTED = "535 5.7.8 IP not authorized"
REQUIRED = "530 5.7.0 Authentication required"
HERE, THERE = "192.0.2.1", "192.0.2.99"

# Users, as functions make them, and who are refused with this sender, from
# this source.
USERS = {
    "listed": pairs(ips=HERE, domains="example.org"),
    "blocked": pairs(status="blocked", domains="example.org"),
    "of-blocked": pairs(account="bad", domains="example.org"),
    "of-other": pairs(account="other", domains="example.org"),
    "any-of-basic": pairs(account="good", mode="any", domains="example.org"),
    "all-of-good": pairs(account="good", mode="all"),
    "plain": pairs(domains="example.org", ips=THERE),
    "of-address": pairs(domains="example.org", ip_auth=HERE),
}
ACCOUNTS = {
    "good": pairs(plan="basic", domains="example.net"),
    "bad": pairs(plan="pro", status="blocked"),
    "other": pairs(user_prefix="x-"),
}
REFUSED = [
    ("listed", "example.org"), ("blocked", "example.org"),
    ("of-blocked", "example.org"), ("of-other", "example.org"),
    ("any-of-basic", "example.com"), ("all-of-good", "example.com"),
    ("plain", "example.com"), (None, "example.org")]
ACCEPTED = [("plain", "example.org"), ("any-of-basic", "example.org"),
            ("all-of-good", "example.net")]


class Relay:
    """Table and filter, without smtpd."""

    def __init__(self, redis):
        conf = configuration(redis=redis.url, spf="off")
        self.table = TableDriver(workdir("table"), conf)
        self.filter = FilterDriver(workdir("filter"), conf)
        self.sessions = 0

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.table.__exit__(*why)
        self.filter.__exit__(*why)

    def accepts(self, name, domain, source=THERE):
        """Whether who knows the password, or has the address, may send."""
        self.sessions += 1
        session = "%016x" % self.sessions
        self.filter.connect(session, source + ":40000")
        try:
            if name is not None:
                found = self.table.lookup("credentials", name)
                if not found.startswith("found|"):
                    return False
                self.filter.authenticate(session, name)
            return self.filter.ask("mail-from", session,
                                   "a@" + domain) == "proceed"
        finally:
            self.filter.disconnect(session)


@pytest.fixture
def library(redis):
    library = Library(redis)
    for name, words in USERS.items():
        library.call("user_add", library.user(name), "password", HASH, *words)
    for name, words in ACCOUNTS.items():
        library.call("account_add", library.account(name), *words)
    return library


def test_no_key_that_is_lost_opens_anything(redis, library):
    # What the relay writes itself is not there yet.
    keys = sorted(library.keys())
    assert len(keys) == 22
    with Relay(redis) as relay:
        for name, domain in ACCEPTED:
            assert relay.accepts(name, domain), name
        assert relay.accepts("listed", "example.org", HERE)
        assert relay.accepts(None, "example.org", HERE)
        for lost in [None, *keys]:
            if lost:
                redis.cli("COPY", lost, "kept")
                redis.cli("DEL", lost)
            for name, domain in REFUSED:
                assert not relay.accepts(name, domain), (lost, name)
            if lost:
                redis.cli("RENAME", "kept", lost)
        for name, domain in ACCEPTED:
            assert relay.accepts(name, domain), name


def test_a_list_that_is_lost(relay, redis, users, tmp_path):
    """At each place, and in a session that is open."""
    cmd = Smtpusers(redis, tmp_path)
    users.add("alice", PASSWORD)
    cmd.ok("source", "add", "alice", "127.0.0.1")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message().startswith("250")
        redis.cli("DEL", users.key("alice", "ips"))
        assert session.mail() == UNLISTED
        assert session.closed()
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == UNLISTED
    with Session(relay) as session:
        assert session.login("alice", PASSWORD) == OK
        assert session.mail() == UNLISTED
    told = cmd.ok("explain", "alice", "--from", "a@example.org").stdout
    assert "source-list-missing" in told
    told = cmd.run("check", "alice")
    assert told.stdout == ("alice: restricted: there is no list of sources, "
                           "so nobody is let in\n")
    assert "none" in next(line for line in cmd.ok("show", "alice").stdout.split("\n")
                          if line.startswith("sources"))
    cmd.ok("set", "alice", "restricted", "0")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message().startswith("250")


def test_the_last_address_is_removed(redis, users, tmp_path):
    cmd = Smtpusers(redis, tmp_path)
    users.add("alice", PASSWORD, ips=["127.0.0.1"])
    told = cmd.run("source", "rm", "alice", "127.0.0.1").stderr
    assert told == (
        "smtpusers: the list of alice is empty now: nobody is let in as this "
        "user; to let in any source, smtpusers set alice restricted 0\n")
    cmd.ok("source", "add", "alice", "127.0.0.1")
    cmd.ok("set", "alice", "restricted", "0")
    told = cmd.run("source", "rm", "alice", "127.0.0.1").stderr
    assert told == ("smtpusers: the list of alice is empty now: any source is "
                    "allowed\n")


def test_an_address_without_its_list(relay, redis, users):
    """IP authentication, where the user has a list as well."""
    users.add("printer", PASSWORD, ips=["127.0.0.2"], restricted="1")
    users.ip_auth("printer", "127.0.0.2")
    with Session(relay, "127.0.0.2") as session:
        assert session.message().startswith("250")
        redis.cli("DEL", users.key("printer", "ips"))
        assert session.mail() == UNLISTED


def test_an_account_that_is_lost(relay, redis, users, sink, tmp_path):
    users.account("acme", status="blocked")
    users.add("alice", PASSWORD, account="acme")
    users.account("widgets")
    users.add("bob", PASSWORD, account="widgets")
    with Session(relay) as session:
        assert session.plain("bob", PASSWORD) == OK
        assert session.mail().startswith("250")
        assert session.rcpt().startswith("250")
        redis.cli("DEL", "smtp:account:{acme}", "smtp:account:{widgets}")
        reply = session.data("From: <alice@example.org>\r\n\r\nx\r\n")
        assert report_id(reply, "bob"), reply
        assert session.mail() == REQUIRED

    def log_in(name):
        with Session(relay) as session:
            return session.plain(name, PASSWORD)

    assert together(log_in, [("alice",), ("bob",)]) == [FAILED, FAILED]
    cmd = Smtpusers(redis, tmp_path)
    assert "account-missing" in cmd.ok("explain", "bob", "--from", "a@example.org").stdout
    assert ("bob: account: widgets: no such account, so the user is refused"
            in cmd.run("check", "bob").stdout)
    users.account("widgets")
    assert log_in("bob") == OK


def test_lists_without_the_field_are_told_and_mended(redis, users, tmp_path):
    cmd = Smtpusers(redis, tmp_path)
    users.add("alice", ips=["192.0.2.1"])
    users.add("bob", ips=["192.0.2.1"], restricted="0")
    users.add("carol", ips=["192.0.2.1"], restricted="1")
    users.add("dave")
    told = ("alice: restricted: not set, so any source is let in should the "
            "list of sources get lost")
    assert cmd.run("check").stdout == told + "\n"
    assert cmd.ok("check", "--fix").stdout == told + "; set to 1\n"
    assert cmd.ok("check").stdout == ""
    assert redis.cli("HGET", users.key("alice"), "restricted") == "1"
    assert redis.cli("HGET", users.key("bob"), "restricted") == "0"
    assert redis.cli("HEXISTS", users.key("dave"), "restricted") == 0
