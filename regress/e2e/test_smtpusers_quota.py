# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""smtpusers quota, and what show tells of it."""

import pytest

from cli import EX_DATAERR, EX_NOUSER, Smtpusers
from quotas import Functions, Sender, limited
from redisserver import wait_until


@pytest.fixture
def cmd(redis, users, tmp_path):
    limited(users, quota="5", quota_period="1h", rate="9/1h")
    return Smtpusers(redis, tmp_path)


@pytest.fixture
def counters(redis):
    return Functions(redis)


def row(limit, count, used, reset):
    return {"limit": limit, "count": count, "period": "1h", "used": used,
            "reset": reset}


def test_unused(cmd, counters):
    assert cmd.json("quota", "alice") == [
        row("quota", 5, 0, 0), row("rate", 9, 0, 0)]


def test_used(cmd, counters, redis):
    with Sender(redis.url) as sender:
        assert sender.send(3) == 3
    quota, rate = cmd.json("quota", "alice")
    assert 3590 <= quota["reset"] <= 3600 and 1190 <= rate["reset"] <= 1200
    assert quota == row("quota", 5, 3, quota["reset"])
    assert rate == row("rate", 9, 3, rate["reset"])
    shown = cmd.ok("quota", "alice").stdout.splitlines()
    assert shown[0].startswith("quota  3 of 5 per 1h, unused again in 3")
    assert shown[1].startswith("rate   3 of 9 per 1h, unused again in 1")
    shown = cmd.ok("show", "alice").stdout
    assert "3 of 5 per 1h" in shown and "3 of 9 per 1h" in shown
    assert cmd.json("show", "alice")["usage"][0]["used"] == 3


def test_reset(cmd, counters, redis):
    """At once, and what was under way returns nothing afterwards."""
    with Sender(redis.url) as sender:
        assert sender.send(4) == 4
        assert sender.mail() == "proceed"
        assert sender.commit() == "proceed"
        cmd.ok("quota", "alice", "--reset")
        assert counters.used() == {"quota": 0, "9/1h": 0}
        session, msgid = sender.session, sender.msgid
        sender.open()
        assert sender.send(2) == 2
        sender.driver.report("tx-rollback", session, msgid, "100")
        wait_until(lambda: "void" in holds(redis, counters), 10,
                   "the refund")
        assert counters.used() == {"quota": 2, "9/1h": 2}


def holds(redis, counters):
    keys = redis.cli("KEYS", counters.user + ":used:hold:*")
    return [redis.cli("GET", key) for key in keys]


def test_unlimited(cmd, counters, users):
    users.set("alice", quota="0", rate="")
    assert cmd.ok("quota", "alice").stdout == "unlimited\n"


def test_not_understood(cmd, counters, users):
    users.set("alice", quota="many")
    assert "quota" in cmd.fails(EX_DATAERR, "quota", "alice")
    assert cmd.json("show", "alice")["usage"] is None


def test_no_such_user(cmd, counters):
    cmd.fails(EX_NOUSER, "quota", "bob")
    cmd.fails(EX_NOUSER, "quota", "bob", "--reset")


def test_functions_are_loaded_where_they_are_missing(cmd, redis):
    redis.cli("FUNCTION", "FLUSH")
    assert [row["limit"] for row in cmd.json("quota", "alice")] == [
        "quota", "rate"]
    [library] = redis.cli("FUNCTION", "LIST")
    assert library[1].startswith("smtpusers_")


# Sender domains, and accounts

def test_sender_domains(cmd, users, redis):
    users.set("alice", quota="", rate="", sender_quota="4",
              sender_rate="8/1h")
    users.domains("alice", "example.org", "b.example")
    with Sender(redis.url) as sender:
        assert sender.send(3) == 3
        assert sender.message(author="x@b.example") == "proceed"
    rows = cmd.json("quota", "alice")
    assert {(row["domain"], row["limit"], row["count"], row["used"])
            for row in rows} == {
        ("example.org", "sender_quota", 4, 3),
        ("example.org", "sender_rate", 8, 3),
        ("b.example", "sender_quota", 4, 1),
        ("b.example", "sender_rate", 8, 1)}
    first, second = cmd.ok("quota", "alice").stdout.splitlines()
    assert first.startswith("example.org  3 of 4 per 1h, unused again in 3")
    assert "; 3 of 8 per 1h, unused" in first
    assert second.startswith("b.example  1 of 4 per 1h")
    cmd.ok("quota", "alice", "--reset")
    assert cmd.json("quota", "alice") == []


def test_many_sender_domains(cmd, users, counters):
    """All for programs, for people those that have used most."""
    users.set("alice", quota="", rate="", sender_quota="9")
    for number in range(120):
        counters.call("reserve", "h%d" % number, 2 if number == 77 else 1,
                      "senders", 1, "d%d.example" % number)
    assert len(cmd.json("quota", "alice")) == 120
    shown = cmd.ok("quota", "alice").stdout.splitlines()
    assert len(shown) == 20 + 1
    assert shown[0].startswith("d77.example  2 of 9")
    assert shown[-1] == "and 100 more sender domains"


def test_an_account(cmd, users, redis):
    users.account("acme")
    users.set("alice", account="acme")
    assert cmd.ok("account", "quota", "acme").stdout == "unlimited\n"
    cmd.ok("account", "set", "acme", "quota", "4")
    cmd.ok("account", "set", "acme", "quota-period", "1h")
    cmd.ok("account", "set", "acme", "rate", "8/1h")
    with Sender(redis.url) as sender:
        assert sender.send(3) == 3
    quota, rate = cmd.json("account", "quota", "acme")
    assert quota == row("quota", 4, 3, quota["reset"])
    assert rate == row("rate", 8, 3, rate["reset"])
    shown = cmd.ok("account", "show", "acme").stdout
    assert "3 of 4 per 1h" in shown and "3 of 8 per 1h" in shown
    assert cmd.json("account", "show", "acme")["usage"][0]["used"] == 3
    cmd.ok("account", "quota", "acme", "--reset")
    assert [row["used"] for row in cmd.json("account", "quota", "acme")] == [
        0, 0]
    cmd.fails(EX_NOUSER, "account", "quota", "other")
    redis.cli("SET", "smtp:account:{acme}:used:quota", "x")
    assert cmd.json("account", "show", "acme")["problems"] == [
        "used:quota: cannot be read, so it counts as used up"]
    users.account("acme", quota="many")
    cmd.fails(EX_DATAERR, "account", "quota", "acme")
