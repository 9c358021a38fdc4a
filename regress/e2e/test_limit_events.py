# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""What is told of quotas that are nearly used up, and that are."""

import pytest

from quotas import Functions, Sender, limited
from redisserver import wait_until
from session import Session

KEY = "smtp:events"
PASSWORD = "Open-Sesame1"


def told(redis, count):
    """The events, once there are so many."""
    rows = wait_until(lambda: len(found(redis)) >= count and found(redis), 60,
                      "%d events" % count)
    assert len(rows) == count
    return rows


def found(redis):
    return [dict(zip(flat[::2], flat[1::2]))
            for _, flat in redis.cli("XRANGE", KEY, "-", "+")]


def kinds(functions):
    rows, functions.told = functions.told, []
    return [row[0] for row in rows]


@pytest.fixture
def alice(redis, users):
    limited(users, quota="10", quota_period="1d")
    return Functions(redis)


def reserve(functions, hold, units=1):
    return functions.call("reserve", hold, units)[0]


def test_each_mark_once(alice):
    for n in range(8):
        assert reserve(alice, "h%d" % n) == "ok"
    assert kinds(alice) == []
    assert reserve(alice, "h8") == "ok"
    assert alice.told == [["limit.near", "account", "", "limit", "10",
                           "period", "1d", "used", "9"]]
    assert kinds(alice) == ["limit.near"]
    assert reserve(alice, "h9") == "ok"
    assert kinds(alice) == ["limit.reached"]
    for n in range(3):
        assert reserve(alice, "more%d" % n) == "full"
        assert alice.call("check", "none", 1)[0] == "full"
    assert kinds(alice) == []


def test_what_is_given_back_is_not_told_again(alice):
    """Even where nothing is left of the window."""
    for n in range(5):
        assert reserve(alice, "h%d" % n, 10) == "ok"
        alice.call("refund", "h%d" % n)
        assert alice.used() == {"quota": 0}
    assert kinds(alice) == ["limit.reached"]


def test_a_message_without_room(alice):
    """Also where the mark was never met; not where it can have none."""
    assert reserve(alice, "a", 8) == "ok"
    assert reserve(alice, "b", 11) == "full"
    assert kinds(alice) == []
    assert reserve(alice, "c", 3) == "full"
    assert kinds(alice) == ["limit.reached"]
    assert reserve(alice, "d", 1) == "ok"
    assert kinds(alice) == []


def test_short_periods(redis, alice):
    redis.cli("HSET", alice.user, "quota", "2", "quota_period", "1")
    for n in range(3):
        assert reserve(alice, "h%d" % n, 2) == "ok"
        wait_until(lambda: alice.used() == {"quota": 0}, 60, "a new window")
    assert kinds(alice) == ["limit.reached"]
    assert 3000 < redis.cli("TTL", alice.user + ":used:quota:told") <= 3600


def test_the_period_is_over(redis, alice):
    assert reserve(alice, "a", 10) == "ok"
    assert 86000 < redis.cli("TTL", alice.user + ":used:quota:told") <= 86400
    redis.cli("DEL", alice.user + ":used:quota:told", alice.user +
              ":used:quota")
    assert reserve(alice, "b", 10) == "ok"
    assert kinds(alice) == ["limit.reached"] * 2


def test_another_limit(redis, alice):
    assert reserve(alice, "a", 10) == "ok"
    redis.cli("HSET", alice.user, "quota", "20")
    assert reserve(alice, "b", 8) == "ok"
    assert reserve(alice, "c", 2) == "ok"
    assert kinds(alice) == ["limit.reached", "limit.near", "limit.reached"]
    redis.cli("FCALL", "smtpusers_user_reset", 1, alice.user)
    assert redis.cli("KEYS", "*told*") == []
    assert reserve(alice, "d", 18) == "ok"
    assert kinds(alice) == ["limit.near"]


@pytest.mark.parametrize("account, told_of", [
    ("ACME", "acme"), ("no account", ""), ("x" * 100000, ""), (b"\xff\0", "")])
def test_the_account_of_the_user(redis, alice, account, told_of):
    redis.cli("HSET", alice.user, "account", account)
    assert reserve(alice, "a", 10) == "ok"
    assert alice.told[0][2] == told_of


def test_a_strange_key_is_in_nobodys_way(redis, alice):
    redis.cli("HSET", alice.user + ":used:quota:told", "a", "b")
    assert reserve(alice, "a", 10) == "ok"
    assert kinds(alice) == []
    redis.cli("SET", alice.user + ":used:quota:told", "\0" * 1000000)
    assert reserve(alice, "b", 1) == "full"
    assert kinds(alice) == ["limit.reached"]


def test_rates_are_not_told(redis, alice):
    redis.cli("HSET", alice.user, "quota", "0", "rate", "2/1h")
    assert [reserve(alice, hold) for hold in "abc"] == ["ok", "ok", "full"]
    assert kinds(alice) == []


# By the relay

def test_users_and_accounts(new_relay, redis, users):
    """Each event is of one of them, and nothing of who has no quota."""
    relay = new_relay()
    users.add("alice", PASSWORD, quota="2", account="acme")
    users.add("bob", PASSWORD, account="acme")
    redis.cli("HSET", "smtp:account:{acme}", "plan", "basic", "quota", "4")
    for name, count in (("alice", 2), ("bob", 2)):
        with Session(relay) as session:
            assert session.plain(name, PASSWORD).startswith("235")
            for _ in range(count):
                assert session.message().startswith("250")
            assert session.mail().startswith("451 4.7.1 [QUOTA]")
    events = told(redis, 2)
    ids = {event.pop("id") for event in events}
    assert len(ids) == 2 and len({e.pop("relay") for e in events}) == 1
    assert events == [
        {"kind": "limit.reached", "user": "alice", "account": "acme",
         "limit": "2", "period": "1d", "used": "2"},
        {"kind": "limit.reached", "account": "acme", "limit": "4",
         "period": "1d", "used": "4"}]


def test_recipients(redis, users):
    limited(users, quota="10")
    with Sender(redis.url, quota_unit="recipient") as sender:
        sender.open()
        assert sender.message(recipients=9) == "proceed"
        near, = told(redis, 1)
        assert (near["kind"], near["used"]) == ("limit.near", "9")
