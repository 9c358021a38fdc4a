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
