# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""Quotas and rates of an account, for all its users together: exactly so many,
whoever sends them, and what is refused by one limit is charged to none."""

import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fakeredis import FakeRedis
from places import workdir
from quotas import Functions, Sender, limited
from redisserver import wait_until
from session import Session
from test_roundtrips import Watched
from topologies import Cluster
from users import Users

PASSWORD = "Open-Sesame1"
TEMPFAIL = "reject|451 4.3.0 Temporary failure"
FULL = re.compile(r"reject\|451 4\.7\.1 \[QUOTA\] (\d+) messages per (\w+)"
                  r"( of the account|) used, try again in (\d+) s")
SOURCES = {"alice": "192.0.2.1", "bob": "192.0.2.2", "carol": "192.0.2.3"}
ACCOUNT = "smtp:account:{acme}"


@pytest.fixture
def account(redis):
    return Functions(redis, "acme", kind="account")


@pytest.fixture
def alice(redis):
    return Functions(redis)


def add(users, limits, **fields):
    """Users of one account that has these limits."""
    users.account("acme", **limits)
    for name, source in SOURCES.items():
        limited(users, name, source, account="acme", **fields)


def sender_of(redis, name="alice", **keys):
    return Sender(getattr(redis, "url", redis), source=SOURCES[name], **keys)


@pytest.fixture
def senders(redis):
    with sender_of(redis) as one, sender_of(redis, "bob") as other:
        yield one, other


def refused(verdict):
    """The limit, and whether it is the account's."""
    match = FULL.fullmatch(verdict)
    assert match, verdict
    return int(match[1]), bool(match[3])


def test_all_users_together(relay, users, redis, account):
    users.account("acme", quota="3", rate="9/1h")
    for name in ("alice", "bob"):
        users.add(name, PASSWORD, account="acme")
    replies = []
    for name in ("alice", "bob", "alice", "bob"):
        with Session(relay) as session:
            assert session.plain(name, PASSWORD).startswith("235")
            replies.append(session.message())
    assert [reply[:3] for reply in replies] == ["250", "250", "250", "451"]
    assert refused("reject|" + replies[3]) == (3, True)
    wait_until(lambda: account.used() == {"quota": 3, "9/1h": 3}, 60,
               "what is charged")
    holds = redis.cli("KEYS", ACCOUNT + ":used:hold:*")
    wait_until(lambda: {redis.cli("GET", key) for key in holds} == {"kept"},
               60, "all to be kept")


def test_each_user_besides(senders, users, account, alice):
    """Whichever is refused gives the other back."""
    add(users, {"quota": "5"}, quota="2", rate="9/1h")
    one, other = senders
    assert one.send(2) == 2
    assert refused(one.message()) == (2, False)
    assert account.used() == {"quota": 2}
    assert other.mail() == "proceed"
    assert other.send(2) == 2
    users.set("alice", quota="9")
    assert one.send(1) == 1
    assert refused(one.message()) == (5, True)
    assert account.used() == {"quota": 5}
    assert alice.used() == {"quota": 3, "9/1h": 3}


@pytest.mark.parametrize("which", ["user", "account"])
def test_refused_at_end_of_data(senders, users, account, alice, which):
    """By what has been charged since MAIL FROM: the other comes back."""
    add(users, {"quota": "9"}, quota="9", sender_quota="9")
    one, _ = senders
    assert one.message() == "proceed"
    for _ in range(3):
        assert one.mail() == "proceed"
        if which == "user":
            users.set("alice", quota="1")
        else:
            users.account("acme", quota="1")
        assert refused(one.commit()) == (1, which == "account")
        users.set("alice", quota="9")
        users.account("acme", quota="9")
        wait_until(lambda: (alice.used(), account.used()) == (
            {"quota": 1}, {"quota": 1}), 60, "what was charged to come back")
        assert alice.used_by() == {"example.org": {"sender_quota": 1}}


@pytest.mark.parametrize("end", ["tx-rollback", "drop"])
@pytest.mark.parametrize("fields", [{}, {"quota": "9"}])
def test_given_back(senders, users, account, end, fields):
    add(users, {"quota": "2", "rate": "2/1h"}, **fields)
    one, _ = senders
    for _ in range(4):
        assert one.mail() == "proceed"
        assert one.commit() == "proceed"
        assert account.used() == {"quota": 1, "2/1h": 1}
        if end == "drop":
            one.close()
        else:
            one.report(end)
        wait_until(lambda: account.used() == {"quota": 0, "2/1h": 0}, 60,
                   "the refund")
    assert one.send(4) == 2


def test_settled_when_redis_is_there_again(redis, senders, users, account,
                                           alice):
    add(users, {"quota": "9"}, quota="9")
    one, other = senders
    for sender in (one, other):
        assert (sender.mail(), sender.commit()) == ("proceed", "proceed")
    redis.pause()
    try:
        one.report("tx-rollback")
        other.report("tx-commit", "100")
    finally:
        redis.resume()
    wait_until(lambda: account.used() == {"quota": 1}, 60, "the refund")
    assert alice.used() == {"quota": 0}
    wait_until(lambda: sorted(redis.cli("GET", key) for key in redis.cli(
        "KEYS", ACCOUNT + ":used:hold:*")) == ["kept", "void"], 60, "both")


@pytest.mark.parametrize("limits, user, answer", [
    ({"over": "reject"}, {}, "550 5.7.1 [QUOTA] 1 messages per 1d of the "),
    ({"over": "reject"}, {"over": "defer"}, "550 5.7.1 [QUOTA]"),
    ({}, {"over": "reject"}, "451 4.7.1 [QUOTA]"),
    ({"over": "defer"}, {"over": "sandbox"}, "451 4.7.1 [QUOTA]")])
def test_over(senders, users, limits, user, answer):
    """Of the account's limits, as the account has it."""
    add(users, {"quota": "1", **limits}, **user)
    one, other = senders
    assert one.message() == "proceed"
    for sender in senders:
        assert sender.message().startswith("reject|" + answer)


def test_over_sandbox(new_relay, users, sink):
    relay = new_relay()
    users.account("acme", quota="1", over="sandbox")
    users.add("alice", PASSWORD, account="acme")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD).startswith("235")
        assert session.message("sent").startswith("250")
        assert session.message("swallowed").startswith("250")
    sink.wait_for(b"Subject: sent")
    assert not [m for m in sink.wait() if b"Subject: swallowed" in m.data]


@pytest.mark.parametrize("key", [":used:quota", ":used:rate"])
@pytest.mark.parametrize("over", ["reject", "sandbox"])
def test_a_counter_that_cannot_be_read(redis, senders, users, key, over):
    """It may have room: never refused for good, nor thrown away."""
    add(users, {"quota": "9", "rate": "9/1h", "over": over})
    redis.cli("RPUSH", ACCOUNT + key, "x")
    one, _ = senders
    assert refused(one.message()) == (9, True)
    wait_until(lambda: ACCOUNT + key + ": cannot be read, so it counts as used "
               "up" in one.driver.stderr(), 60, "the log")
    redis.cli("DEL", ACCOUNT + key)
    assert one.message() == "proceed"


@pytest.mark.parametrize("field, value", [
    ("quota", "ten"), ("quota_period", "1y"), ("rate", "5")])
def test_values_that_do_not_parse(redis, senders, users, alice, field, value):
    """451, a line in the log, and nothing charged to the user."""
    add(users, {"quota": "9", field: value}, quota="9")
    one, _ = senders
    assert one.message() == TEMPFAIL
    assert "account:{acme}: bad record: " + field in one.driver.stderr()
    assert alice.used() == {"quota": 0}
    users.account("acme", **{field: {"quota": "9", "quota_period": "1h",
                                     "rate": "5/1h"}[field]})
    assert one.message() == "proceed"


def test_more_recipients_than_can_ever_be(redis, users):
    add(users, {"quota": "3"})
    with sender_of(redis, quota_unit="recipient") as one:
        assert one.message(recipients=4) == (
            "reject|550 5.7.1 [QUOTA] 3 recipients per 1d of the account "
            "allowed, this message has more")
        assert one.message(recipients=3) == "proceed"


def test_another_account_meanwhile(redis, senders, users, account):
    """What was guessed is given back, and the right one is charged."""
    add(users, {"quota": "9"})
    one, _ = senders
    assert one.message() == "proceed"
    users.account("other", quota="9")
    users.set("alice", account="other")
    other = Functions(redis, "other", kind="account")
    for count in (1, 2):
        assert one.message() == "proceed"
        wait_until(lambda: account.used() == {"quota": 1}, 60, "the refund")
        assert other.used() == {"quota": count}
    assert one.mail() == "proceed"
    users.set("alice", account="acme")
    assert one.commit() == "proceed"
    one.report("tx-commit", "100")
    assert account.used() == {"quota": 2}
    wait_until(lambda: other.used() == {"quota": 2}, 60, "the refund")
    users.account("acme", quota="0")
    assert one.message() == "proceed"
    wait_until(lambda: [redis.cli("GET", key) for key in redis.cli(
        "KEYS", "smtp:user:{alice}:used:hold:*")].count("kept") >= 4, 60,
        "all to be settled")
    users.account("acme", quota="2")
    assert refused(one.message()) == (2, True)


def test_deleted(redis, users, account):
    add(users, {"quota": "1"})
    with sender_of(redis) as one:
        assert one.message() == "proceed"
        assert redis.cli("FCALL", "smtpusers_account_del", 1, ACCOUNT) == 1
        assert redis.cli("EXISTS", ACCOUNT + ":used:quota") == 0
        assert one.mail().startswith("reject|530")
        users.account("acme", quota="1")
        assert one.message() == "proceed"


# What it costs

@pytest.mark.parametrize("limits, fields, asked", [
    ({}, {}, []), ({}, {"quota": "99"}, ["reserve"]),
    ({"quota": "99"}, {}, ["reserve", "reserve"]),
    ({"quota": "99"}, {"quota": "99", "sender_quota": "99"},
     ["reserve", "reserve"])])
def test_round_trips(redis, users, limits, fields, asked):
    """One for all that is asked about a message."""
    Functions(redis)
    add(users, limits, **fields)
    with Watched(redis) as watched, sender_of(watched.proxy) as one:
        for _ in range(3):
            assert one.message() == "proceed"
        assert one.mail() == "proceed"
        watched.forget()
        assert one.commit() == "proceed"
        trip, = watched.decisions()
        assert [name for name in trip if name == "reserve"] == asked


# Races

class Race:
    """Relays, each with a user who sends until the account's quota is used
    up."""

    def __init__(self, count, **keys):
        self.count = count
        self.keys = keys
        self.lock = threading.Lock()
        self.accepted = 0

    def one(self, url, name, fate=None):
        with sender_of(url, name, kind="rel", redis_timeout=1000,
                       **self.keys) as sender:
            for number in range(100 * self.count):
                if number == fate:
                    assert (sender.mail(), sender.commit()) == (
                        "proceed", "proceed")
                    sender.driver.process.kill()
                    sender.driver.process.wait()
                    return
                verdict = sender.message()
                if verdict == "proceed":
                    with self.lock:
                        self.accepted += 1
                elif "of the account" in verdict:
                    return
            raise AssertionError("the quota is never used up")

    def run(self, url, fates=()):
        """Who has a fate dies after so many messages; how many did."""
        fates = [*fates, *(None,) * (3 * len(SOURCES) - len(fates))]
        with ThreadPoolExecutor(len(fates)) as pool:
            tries = [pool.submit(self.one, url, name, fate) for name, fate in
                     zip((*SOURCES,) * 3, fates)]
        died = 0
        for one, fate in zip(tries, fates):
            error = one.exception()
            # A filter that was killed cannot end in order.
            if fate is not None and isinstance(error, (AssertionError,
                                                       OSError)):
                died += 1
            elif error is not None:
                raise error
        return died


@pytest.mark.parametrize("limit", [{"quota": "300"}, {"rate": "300/3650d"}])
def test_exact(redis, users, account, limit):
    add(users, limit, quota="1000", sender_rate="900/1d")
    race = Race(300)
    race.run(redis.url)
    assert race.accepted == 300
    wait_until(lambda: [*account.used().values()] == [300], 60, "the refunds")
    each = [Functions(redis, name).used()["quota"] for name in SOURCES]
    assert sum(each) == 300


def test_filters_killed(redis, users, account):
    """Each takes with it the one message that it had let through."""
    add(users, {"quota": "300"}, quota="1000")
    race = Race(300)
    assert race.run(redis.url, [10, 15, 20]) == 3
    assert race.accepted == 300 - 3
    wait_until(lambda: account.used() == {"quota": 300}, 60, "the refunds")
    each = [Functions(redis, name).used()["quota"] for name in SOURCES]
    assert sum(each) == 300


def test_replies_lost(redis, users, account):
    """Commands ran whose replies did not come: each counts once."""
    add(users, {"quota": "200"}, quota="1000")

    def behaviour(_, connection):
        with redis.connect() as upstream:
            while request := connection.recv(1 << 18):
                upstream.socket.sendall(request)
                reply = upstream.socket.recv(1 << 18)
                if not reply or random.random() < 0.02:
                    connection.close()
                    return
                connection.sendall(reply)

    race = Race(200)
    with FakeRedis(workdir("proxy"), behaviour) as proxy:
        race.run(proxy.url)
    # What is given back as the filter ends may be lost with it.
    assert 200 - 9 <= race.accepted <= 200
    assert race.accepted <= account.used()["quota"] <= 200


def test_connections_cut(redis, users, account):
    add(users, {"quota": "200"}, quota="1000")
    over = threading.Event()

    def cut():
        while not over.wait(random.uniform(0.01, 0.05)):
            redis.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    cutter = threading.Thread(target=cut)
    cutter.start()
    race = Race(200)
    try:
        race.run(redis.url)
    finally:
        over.set()
        cutter.join()
    assert 200 - 9 <= race.accepted <= 200
    assert race.accepted <= account.used()["quota"] <= 200


def test_in_a_cluster():
    """The account is on another server than its users."""
    with Cluster() as servers:
        users = Users(servers)
        add(users, {"quota": "200"}, quota="1000", sender_quota="900")
        account = Functions(servers, "acme", kind="account")
        race = Race(200)
        race.run(servers.url)
        assert race.accepted == 200
        wait_until(lambda: account.used() == {"quota": 200}, 60, "the refunds")
        each = [Functions(servers, name).used()["quota"] for name in SOURCES]
        assert sum(each) == 200


def test_a_primary_is_killed():
    """The one that has the account: who is under way may be charged and
    deferred, and nobody is let through."""
    with Cluster() as servers:
        add(Users(servers), {"quota": "200"}, quota="1000")
        race = Race(200, redis_replicas=1)
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(race.run, servers.url)
            wait_until(lambda: race.accepted >= 50, 60, "some")
            former = servers.owner(ACCOUNT)
            replica = servers.replica_of(former)
            former.kill()
            wait_until(replica.is_primary, 60, "the replica to take over")
            former.start()
            run.result()
        assert 200 - 9 <= race.accepted <= 200
