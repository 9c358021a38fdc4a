# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Relays with a cluster: whatever happens to its servers and slots, no more is
accepted than the quota, and mail flows again after the fail-over."""

import time

import pytest

from crowd import CLIENTS, SLOW, Crowd
from quotas import Functions, limited
from redisserver import wait_until
from topologies import Cluster, Network, cut, mend
from users import Users

pytestmark = pytest.mark.exact

QUOTA = 500
USER = "smtp:user:{alice}"

on_both = pytest.mark.parametrize("program", ["redis-server", "valkey-server"])


@pytest.fixture
def cluster():
    with Cluster() as servers:
        yield servers


def begin(servers, **keys):
    limited(Users(servers), quota=str(QUOTA))
    return Crowd(servers.url, **{"redis_replicas": 1, **keys})


def exact(crowd, servers, faults=1):
    """What was under way when a server went may be charged and deferred."""
    accepted = crowd.finish()
    assert QUOTA - faults * CLIENTS <= accepted <= QUOTA
    assert Functions(servers).used()["quota"] == QUOTA


# The primary of the user's slot

@on_both
def test_a_primary_is_killed(program):
    with Cluster(program) as servers, begin(servers) as crowd:
        killed = crowd.wait_for(QUOTA // 5)
        former = servers.owner(USER)
        replica = servers.replica_of(former)
        former.kill()
        wait_until(replica.is_primary, 20, "the replica to take over")
        # Which has no replica then that could have the charges.
        former.start()
        wait_until(former.is_replica, 20, "the former to follow")
        exact(crowd, servers)
        assert crowd.flowed(killed + 0.3)


@on_both
def test_a_primary_is_stopped_and_woken(program):
    with Cluster(program) as servers, begin(servers) as crowd:
        stopped = crowd.wait_for(QUOTA // 5)
        former = servers.owner(USER)
        replica = servers.replica_of(former)
        former.pause()
        wait_until(replica.is_primary, 20, "the replica to take over")
        former.resume()
        wait_until(former.is_replica, 20, "the former to follow")
        exact(crowd, servers)
        assert crowd.flowed(stopped + 0.3)


def test_an_operator_asks_for_a_fail_over(cluster):
    with begin(cluster, pace=SLOW) as crowd:
        asked = crowd.wait_for(QUOTA // 5)
        former = cluster.owner(USER)
        replica = cluster.fail_over(former)
        wait_until(lambda: replica.is_primary() and former.is_replica(), 20,
                   "the change")
        assert crowd.accepted < QUOTA
        exact(crowd, cluster)
        assert crowd.flowed(asked)


# Slots and nodes that come and go

def test_the_slot_moves_while_mail_flows(cluster):
    slot = cluster.slot(USER)
    with begin(cluster) as crowd:
        for share in (5, 4, 3, 2):
            crowd.wait_for(QUOTA // share)
            source = cluster.owner(USER)
            target = next(node for node in cluster.primaries()
                          if node is not source)
            # Half of the user's keys are on either side for a while.
            cluster.move(slot, source, target, lambda: time.sleep(0.002))
        exact(crowd, cluster, faults=4)


def test_a_node_comes_and_goes(cluster):
    slot = cluster.slot(USER)
    with begin(cluster, redis_replicas=0, pace=SLOW) as crowd:
        crowd.wait_for(QUOTA // 5)
        first = cluster.owner(USER)
        node = cluster.node().start()
        cluster.servers.append(node)
        cluster.meet(node)
        cluster.wait_settled()
        cluster.move(slot, first, node)
        crowd.wait_for(min(crowd.accepted + QUOTA // 10, QUOTA))
        cluster.move(slot, node, first)
        cluster.forget(node)
        node.kill()
        exact(crowd, cluster, faults=2)


# Networks that are cut

@on_both
def test_a_primary_is_cut_off_with_a_relay(program):
    with Network(7) as hosts, Cluster(program, hosts[:6]) as servers:
        first = servers.owner(USER)
        replica = servers.replica_of(first)
        with begin(servers, places=(first.place, hosts[6], None)) as crowd:
            began = crowd.wait_for(QUOTA // 5)
            cut(first.place)
            wait_until(replica.is_primary, 20, "the replica to take over")
            mend(first.place)
            wait_until(first.is_replica, 20, "the former to follow")
            exact(crowd, servers)
            assert crowd.flowed(began + 0.3)
