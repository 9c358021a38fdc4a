# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""Many relays, many clients, one quota: never more than it, whatever breaks."""

import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fakeredis import FakeRedis
from places import workdir
from quotas import Functions, Sender, limited
from redisserver import RedisServer, wait_until
from session import Closed, Session
from users import Users

pytestmark = pytest.mark.exact

PASSWORD = "Open-Sesame1"
QUOTA, RELAYS, CLIENTS = 1000, 4, 64
FILTERS = 8


def client(relay, wanted):
    """Sends until the quota is used up; how many messages were accepted."""
    accepted = 0
    with Session(relay, implicit=True) as session:
        reply = session.plain("alice", PASSWORD)
        assert reply.startswith("235"), reply
        while True:
            reply = session.message()
            if not reply.startswith("250"):
                assert re.match(r"451 4\.7\.1 \[QUOTA\] %d " % wanted, reply)
                return accepted
            accepted += 1


def test_exact_with_smtpd(new_relay, redis, users):
    relays = [new_relay() for _ in range(RELAYS)]
    users.add(quota=str(QUOTA))
    with ThreadPoolExecutor(CLIENTS) as pool:
        counts = list(pool.map(client, relays * (CLIENTS // RELAYS),
                               [QUOTA] * CLIENTS))
    assert sum(counts) == QUOTA
    assert Functions(redis).used() == {"quota": QUOTA}
    assert sum(count > 0 for count in counts) > CLIENTS // 2


def test_connections_cut_with_smtpd(new_relay, redis, users):
    """CLIENT KILL all the while: what is accepted and what is charged."""
    relays = [new_relay() for _ in range(2)]
    users.add(quota="200")
    counters = Functions(redis)
    over = threading.Event()

    def cut():
        while not over.wait(random.uniform(0.01, 0.1)):
            redis.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def stubborn(relay):
        """Comes again whatever it is told, until the quota is the reason."""
        accepted = 0
        while True:
            try:
                with Session(relay, implicit=True) as session:
                    if not session.plain("alice", PASSWORD).startswith("235"):
                        continue
                    while (reply := session.message()).startswith("250"):
                        accepted += 1
                    if "[QUOTA]" in reply:
                        return accepted
            except (Closed, OSError):
                continue

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        with ThreadPoolExecutor(16) as pool:
            accepted = sum(pool.map(stubborn, relays * 8))
    finally:
        over.set()
        cutter.join()
    assert accepted <= 200
    wait_until(lambda: counters.used()["quota"] == accepted, 20,
               "as many charged as accepted")


class Race:
    """Filters, each with a thread that sends until the quota is used up."""

    def __init__(self, quota, redis_timeout=500):
        self.quota = quota
        self.redis_timeout = redis_timeout
        self.lock = threading.Lock()
        self.accepted = 0

    def one(self, url, fate=None):
        """fate(sender, count) is asked before each message; true: it dies."""
        with Sender(url, "rel", redis_timeout=self.redis_timeout) as sender:
            for count in range(100 * self.quota):
                if fate is not None and fate(count):
                    self.die(sender)
                    return
                verdict = sender.message()
                if verdict == "proceed":
                    with self.lock:
                        self.accepted += 1
                elif "[QUOTA]" in verdict:
                    return
            raise AssertionError("the quota is never used up")

    def die(self, sender):
        """Ends with a message that was let through and not yet taken."""
        if sender.mail() == "proceed":
            sender.commit()
        sender.driver.process.kill()
        sender.driver.process.wait()
        raise Killed

    def run(self, url, fates=()):
        """How many died, once all have ended."""
        fates = list(fates) + [None] * (FILTERS - len(fates))
        with ThreadPoolExecutor(FILTERS) as pool:
            tries = [pool.submit(self.one, url, fate) for fate in fates]
        died = 0
        for one in tries:
            error = one.exception()
            if isinstance(error, Killed):
                died += 1
            elif error is not None:
                raise error
        return died


class Killed(Exception):
    """A filter that was meant to end."""


def test_exact_with_filters(redis, users):
    limited(users, quota=str(QUOTA))
    race = Race(QUOTA)
    assert race.run(redis.url) == 0
    assert race.accepted == QUOTA


def test_exact_rate_with_filters(redis, users):
    """A burst of N over a period so long that nothing leaks meanwhile."""
    limited(users, rate="%d/3650d" % QUOTA)
    race = Race(QUOTA)
    assert race.run(redis.url) == 0
    assert race.accepted == QUOTA


def cutting_at_random(redis, chance):
    """Passes on, and drops some replies, the connection with them, after
    the command ran."""
    def behaviour(fake, connection):
        with redis.connect() as upstream:
            while request := connection.recv(1 << 18):
                upstream.socket.sendall(request)
                reply = upstream.socket.recv(1 << 18)
                if not reply or random.random() < chance:
                    connection.close()
                    return
                connection.sendall(reply)
    return behaviour


def test_replies_dropped(redis, users):
    limited(users, quota="300")
    counters = Functions(redis)
    race = Race(300)
    with FakeRedis(workdir("proxy"), cutting_at_random(redis, 0.03)) as proxy:
        race.run(proxy.url)
    # Those whose refund the filter took with it when it ended, at most.
    assert 300 - FILTERS <= race.accepted <= 300
    assert race.accepted <= counters.used()["quota"] <= 300


def test_connections_cut(redis, users):
    limited(users, quota=str(QUOTA))
    race = Race(QUOTA)
    over = threading.Event()

    def cut():
        while not over.wait(random.uniform(0.005, 0.05)):
            redis.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        race.run(redis.url)
    finally:
        over.set()
        cutter.join()
    assert QUOTA - FILTERS <= race.accepted <= QUOTA


@pytest.mark.parametrize("deaths", [1, 5])
def test_filters_killed(redis, users, deaths):
    """Each takes with it the one message that it had let through."""
    limited(users, quota=str(QUOTA))
    race = Race(QUOTA)
    fates = [lambda count, at=at: count == at
             for at in range(10, 10 + deaths)]
    assert race.run(redis.url, fates) == deaths
    assert race.accepted == QUOTA - deaths


def test_redis_killed(sink):
    """Killed and started again with its append-only file, several times."""
    extra = ("--appendonly", "yes", "--appendfsync", "always")
    with RedisServer(workdir("redis"), extra=extra) as server:
        limited(Users(server), quota=str(QUOTA))
        counters = Functions(server)
        race = Race(QUOTA)
        over = threading.Event()
        kills = []

        def kill():
            for mark in (100, 300, 500, 700):
                wait_until(lambda: race.accepted >= mark or over.is_set(),
                           60, "some to be accepted")
                kills.append(over.is_set())
                server.kill()
                server.start()

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            race.run(server.url)
        finally:
            over.set()
            killer.join()
        assert kills == [False] * 4, "it was over before"
        assert QUOTA - 4 * FILTERS <= race.accepted <= QUOTA
        assert race.accepted <= counters.used()["quota"] <= QUOTA
