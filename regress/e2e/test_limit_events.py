# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""What is told of quotas that are nearly used up, and that are."""

import pytest

from fakeredis import FakeRedis, losing
from places import workdir
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


def test_an_answer_that_was_lost(redis, alice):
    """Whoever asks again is told again, and nobody else is."""
    for hold, units, word, kind in (("a", 9, "ok", "limit.near"),
                                    ("b", 1, "ok", "limit.reached")):
        assert reserve(alice, hold, units) == word
        first = alice.told[-1:]
        for _ in range(2):
            assert reserve(alice, hold, units) == word
            assert alice.told[-1:] == first
        assert kinds(alice) == [kind] * 3
    assert reserve(alice, "c", 1) == "full"
    assert kinds(alice) == []
    # By a refusal.
    redis.cli("DEL", alice.user + ":used:quota:told")
    for _ in range(3):
        assert reserve(alice, "d", 1) == "full"
    assert kinds(alice) == ["limit.reached"] * 3
    assert 0 < redis.cli("TTL", alice.user + ":used:hold:d") <= 300
    # There is room by now: it is judged anew.
    redis.cli("DEL", alice.user + ":used:quota")
    assert reserve(alice, "d", 1) == "ok"
    assert kinds(alice) == ["limit.reached"]
    assert alice.used() == {"quota": 1}


def test_nobody_has_heard_the_answer(redis, alice):
    """Who gives it back is told, as often as that may be lost too."""
    assert reserve(alice, "a", 9) == "ok"
    assert kinds(alice) == ["limit.near"]
    for _ in range(2):
        alice.call("refund", "a", "unheard")
        assert kinds(alice) == ["limit.near"]
    assert reserve(alice, "a", 9) == "void"
    assert alice.used() == {"quota": 0}
    assert kinds(alice) == []
    # Who has heard is not; nor is anybody told of what was accepted.
    assert reserve(alice, "b", 10) == "ok"
    alice.call("refund", "b")
    alice.call("refund", "b", "unheard")
    assert kinds(alice) == ["limit.reached"]
    redis.cli("DEL", alice.user + ":used:quota:told")
    assert reserve(alice, "c", 10) == "ok"
    alice.call("keep", "c")
    alice.call("refund", "c", "unheard")
    assert kinds(alice) == ["limit.reached"]
    assert alice.used() == {"quota": 10}


# By the relay

ALARM = {"limit": 1, "period": "1h"}
# What is lost, the fields of user and account, the configuration.
LOST = {
    "near": (b"limit.near", {"quota": "10"}, {}, {}),
    "reached": (b"limit.reached", {"quota": "10"}, {}, {}),
    "account": (b"limit.reached", {}, {"quota": "10"}, {}),
    "notice": (b"alarm.senders", {}, {}, {"senders": dict(
        ALARM, action="notice")}),
    "block": (b"alarm.volume", {}, {}, {"volume": dict(
        ALARM, limit=9, action="block")}),
}


@pytest.mark.parametrize("which", LOST)
@pytest.mark.parametrize("deaf", [False, True], ids=["once", "all"])
def test_replies_that_are_lost(redis, users, which, deaf):
    """The connection is cut when Redis has done it, once or until the filter
    has no time left; the event is told, and the message counts as what the
    client has heard."""
    kind, user, account, alarm = LOST[which]
    limited(users, mode="all", account="acme", **user)
    users.account("acme", *("d%d.example" % n for n in range(9)))
    redis.cli("HSET", "smtp:account:{acme}", "plan", "basic",
              *sum(account.items(), ()))
    met, asked = [], []

    def lost(request, reply):
        if request is not None and b"FCALL" in request:
            asked.append(b"smtpusers_reserve" in request)
        if reply is not None and kind in reply and asked[-1] and (
                deaf or not met):
            met.append(reply)
            return True
        return False

    with FakeRedis(workdir("proxy"), losing(redis, lost)) as proxy, \
            Sender(proxy.url, alarm=alarm, redis_timeout=2000 if deaf
                   else 20000) as sender:
        taken = 0
        for n in range(12):
            author = "a@d%d.example" % (n % 9)
            verdict = sender.mail(author)
            if verdict == "proceed":
                verdict = sender.commit(author=author)
                sender.report("tx-commit" if verdict == "proceed" else
                              "tx-rollback", "100")
            taken += verdict == "proceed"
            if met:
                break
        assert met
        event, = wait_until(lambda: of_kind(redis, kind.decode()), 60,
                            "the event")
        assert event.get("user", "") == ("" if account else "alice")
        assert event["account"] == "acme"
        # While there is a filter: one that ends may leave it for an hour.
        wait_until(lambda: b"held" not in holds(redis), 60,
                   "all to be settled")
    if user or account:
        used = Functions(redis, "acme" if account else "alice",
                         kind="account" if account else "user").used()
        assert used == {"quota": taken}


def of_kind(redis, kind):
    """One whose own reply was lost stands there twice."""
    return list({event["id"]: event for event in found(redis)
                 if event["kind"] == kind}.values())


def holds(redis):
    return " ".join(redis.cli("GET", key) for key in
                    redis.cli("KEYS", "*:used:hold:*")).encode()


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
