# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Relays with Sentinels: whatever happens to the servers, no more is accepted
than the quota, and mail flows again after the fail-over."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from crowd import CLIENTS, PACE, SLOW, Crowd
from places import PATIENCE
from quotas import Functions, limited
from redisserver import wait_until
from session import Closed, Session
from topologies import Network, Sentinels, cut, mend
from users import Users

pytestmark = pytest.mark.exact

PASSWORD = "Open-Sesame1"
QUOTA = 500

on_both = pytest.mark.parametrize("program", ["redis-server", "valkey-server"])


@pytest.fixture
def sentinels():
    with Sentinels() as servers:
        yield servers


def begin(servers, **keys):
    limited(Users(servers), quota=str(QUOTA))
    return Crowd(servers.url, **keys)


def exact(crowd, servers, faults=1):
    """What was under way when a server went may be charged and deferred."""
    accepted = crowd.finish()
    assert QUOTA - faults * CLIENTS <= accepted <= QUOTA
    assert Functions(servers).used()["quota"] == QUOTA


# The primary

@on_both
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_primary_is_killed(program, replicas):
    with Sentinels(program) as servers, begin(
            servers, redis_replicas=replicas) as crowd:
        killed = crowd.wait_for(QUOTA // 5)
        former = servers.primary()
        former.kill()
        servers.wait_other(former)
        if replicas == 2:
            # Who was the primary is the other replica that is waited for.
            former.start()
            wait_until(former.is_replica, 20, "the former to follow")
        exact(crowd, servers)
        assert crowd.flowed(killed + 0.3)


@on_both
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_primary_is_stopped_and_woken(program, replicas):
    """It takes itself for the primary still, and relays that have not left
    it would be told that there is room."""
    with Sentinels(program) as servers, begin(
            servers, redis_replicas=replicas) as crowd:
        stopped = crowd.wait_for(QUOTA // 5)
        former = servers.primary()
        former.pause()
        servers.wait_other(former)
        former.resume()
        if replicas == 2:
            wait_until(former.is_replica, 20, "the former to follow")
        exact(crowd, servers)
        assert crowd.flowed(stopped + 0.3)


def test_an_operator_asks_for_a_fail_over(sentinels):
    with begin(sentinels, redis_replicas=1, pace=SLOW) as crowd:
        asked = crowd.wait_for(QUOTA // 5)
        sentinels.wait_other(sentinels.fail_over())
        assert crowd.accepted < QUOTA
        exact(crowd, sentinels)
        assert crowd.flowed(asked)


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
        assert crowd.flowed(woken)


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

def stubborn(relay, accepted):
    """Comes again whatever it is told, until the quota is the reason."""
    while True:
        try:
            with Session(relay, implicit=True) as session:
                if not session.plain("alice", PASSWORD).startswith("235"):
                    continue
                while (reply := session.message()).startswith("250"):
                    accepted.append(time.monotonic())
                    time.sleep(PACE)
                if "[QUOTA]" in reply:
                    return
        except (Closed, OSError):
            continue


def test_what_is_accepted_is_delivered(sentinels, new_relay, sink):
    users = Users(sentinels)
    users.add("alice", PASSWORD, quota="150")
    relays = [new_relay(sentinels.url, redis_replicas=1, redis_timeout=1000)
              for _ in range(2)]
    accepted = []
    with ThreadPoolExecutor(16) as pool:
        clients = [pool.submit(stubborn, relay, accepted)
                   for relay in relays * 8]
        wait_until(lambda: len(accepted) >= 30, 60, "some to be accepted")
        former = sentinels.primary()
        killed = time.monotonic()
        former.kill()
        sentinels.wait_other(former)
        for client in clients:
            client.result(PATIENCE)
    assert 150 - 16 <= len(accepted) <= 150
    assert any(when > killed + 0.3 for when in accepted)
    assert len(sink.wait(len(accepted))) == len(accepted)


# Networks that are cut

@on_both
def test_a_primary_is_cut_off_with_a_relay(program):
    """On the smaller side of the cut nobody has the charge but the primary
    itself."""
    with Network(7) as hosts, Sentinels(program, hosts[:6]) as servers:
        first = servers.primary()
        with begin(servers, redis_replicas=1,
                   places=(first.place, hosts[6], None)) as crowd:
            began = crowd.wait_for(QUOTA // 5)
            cut(first.place)
            servers.wait_other(first)
            mend(first.place)
            exact(crowd, servers)
            assert crowd.flowed(began + 0.3)
            wait_until(first.is_replica, 20, "the former to follow")
