# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Relays with Sentinels: whatever happens to the servers, no more is accepted
than the quota, and mail flows again after the fail-over."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from crowd import CLIENTS, SLOW, Crowd
from places import PATIENCE
from quotas import Functions, limited
from redisserver import wait_until
from session import Closed, Session
from topologies import Network, Node, Sentinels, cut, mend
from users import Users

pytestmark = pytest.mark.exact

PASSWORD = "Open-Sesame1"
QUOTA = 500
# Seconds in which what was under way at a server that goes is answered.
MOMENT = 0.3

PROGRAMS = ["redis-server", "valkey-server"]


@pytest.fixture(params=PROGRAMS)
def sentinels(request):
    with Sentinels(request.param) as servers:
        yield servers


def begin(servers, **keys):
    limited(Users(servers), quota=str(QUOTA))
    return Crowd(servers.url, **keys)


def exact(crowd, servers, faults=1):
    """What was under way when a server went may be charged and deferred, and
    given back when all others have been told that the quota is used up."""
    accepted = crowd.finish()
    assert QUOTA - faults * CLIENTS <= accepted <= QUOTA
    assert accepted <= Functions(servers).used()["quota"] <= QUOTA


# The primary

@pytest.mark.parametrize("leave, come_back", [
    (Node.kill, Node.start),
    # It takes itself for the primary still, and relays that have not left it
    # would be told that there is room.
    (Node.pause, Node.resume)])
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_primary_goes(sentinels, leave, come_back, replicas):
    with begin(sentinels, redis_replicas=replicas) as crowd:
        gone = crowd.wait_for(QUOTA // 5)
        former = sentinels.primary()
        leave(former)
        sentinels.wait_other(former)
        there = time.monotonic()
        come_back(former)
        if replicas == 2:
            # Who was the primary is the other replica that is waited for.
            wait_until(former.is_replica, 20, "the former to follow")
            there = time.monotonic()
        exact(crowd, sentinels)
        crowd.assert_flows(gone + MOMENT, there)


def test_an_operator_asks_for_a_fail_over(sentinels):
    with begin(sentinels, redis_replicas=1, pace=SLOW) as crowd:
        crowd.wait_for(QUOTA // 5)
        sentinels.wait_other(sentinels.fail_over())
        there = time.monotonic()
        assert crowd.accepted < QUOTA
        exact(crowd, sentinels)
        crowd.assert_flows(there, there)


# Others

@pytest.fixture
def replica(sentinels):
    return next(server for server in sentinels.servers
                if server is not sentinels.primary())


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_a_replica_goes(sentinels, replica, how):
    """The other one is enough."""
    with begin(sentinels, redis_replicas=1) as crowd:
        crowd.wait_for(QUOTA // 5)
        getattr(replica, how)()
        exact(crowd, sentinels)


def test_a_replica_is_stopped_and_woken(sentinels, replica):
    """Mail waits for it, where two must have a charge."""
    with begin(sentinels, redis_replicas=2) as crowd:
        crowd.wait_for(QUOTA // 5)
        replica.pause()
        wait_until(lambda: crowd.refused, 20, "mail to be deferred")
        woken = time.monotonic()
        replica.resume()
        exact(crowd, sentinels)
        crowd.assert_flows(woken, woken)


def test_sentinels_are_stopped(sentinels):
    """The primary that there is goes on; nobody can name another."""
    with begin(sentinels, redis_replicas=1) as crowd:
        crowd.wait_for(QUOTA // 5)
        sentinels.sentinels[0].kill()
        for sentinel in sentinels.sentinels[1:]:
            sentinel.pause()
        exact(crowd, sentinels.servers[0], faults=0)
    for sentinel in sentinels.sentinels[1:]:
        sentinel.resume()
    assert not crowd.refused


# With smtpd

def stubborn(relay, accepted, gone):
    """Comes again whatever it is told, until the quota is the reason. Half of
    it is left for when the primary has gone."""
    while True:
        try:
            with Session(relay, implicit=True) as session:
                if not session.plain("alice", PASSWORD).startswith("235"):
                    continue
                while (reply := session.message()).startswith("250"):
                    accepted.append(time.monotonic())
                    if len(accepted) >= 75:
                        gone.wait(PATIENCE)
                if "[QUOTA]" in reply:
                    return
        except (Closed, OSError):
            continue


def test_what_is_accepted_is_delivered(sentinels, new_relay, sink):
    users = Users(sentinels)
    users.add("alice", PASSWORD, quota="150")
    relays = [new_relay(sentinels.url, redis_replicas=1, redis_timeout=1000)
              for _ in range(2)]
    accepted, gone = [], threading.Event()
    with ThreadPoolExecutor(16) as pool:
        clients = [pool.submit(stubborn, relay, accepted, gone)
                   for relay in relays * 8]
        wait_until(lambda: len(accepted) >= 30, 60, "some to be accepted")
        former = sentinels.primary()
        former.kill()
        gone.set()
        sentinels.wait_other(former)
        for client in clients:
            client.result(PATIENCE)
    assert 150 - 16 <= len(accepted) <= 150
    assert len(sink.wait(len(accepted))) == len(accepted)


# Networks that are cut

@pytest.mark.parametrize("program", PROGRAMS)
def test_a_primary_is_cut_off_with_a_relay(program):
    """On the smaller side of the cut nobody has the charge but the primary
    itself."""
    with Network(7) as hosts, Sentinels(program, hosts[:6]) as servers:
        first = servers.primary()
        with begin(servers, redis_replicas=1,
                   places=(first.place, hosts[6], None)) as crowd:
            gone = crowd.wait_for(QUOTA // 5)
            cut(first.place)
            servers.wait_other(first)
            there = time.monotonic()
            mend(first.place)
            exact(crowd, servers)
            crowd.assert_flows(gone + MOMENT, there)
            wait_until(first.is_replica, 20, "the former to follow")
