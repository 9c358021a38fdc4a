# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Relays with a cluster: whatever happens to its servers and slots, no more is
accepted than the quota, and mail flows again after the fail-over."""

import contextlib
import re
import time

import pytest

from crowd import CLIENTS, SLOW, Crowd
from quotas import Functions, limited
from redisserver import ReplyError, wait_until
from topologies import Cluster, Network, Node, cut, mend
from users import Users

pytestmark = pytest.mark.exact

QUOTA = 500
# Seconds in which what was under way at a server that goes is answered.
MOMENT = 0.3
USER = "smtp:user:{alice}"

PROGRAMS = ["redis-server", "valkey-server"]


@pytest.fixture(params=PROGRAMS)
def cluster(request):
    with Cluster(request.param) as servers:
        yield servers


def begin(servers, **keys):
    limited(Users(servers), quota=str(QUOTA))
    return Crowd(servers.url, **{"redis_replicas": 1, **keys})


def exact(crowd, servers, faults=1):
    """What was under way when a server went may be charged and deferred, and
    given back when all others have been told that the quota is used up."""
    accepted = crowd.finish()
    assert QUOTA - faults * CLIENTS <= accepted <= QUOTA
    assert accepted <= Functions(servers).used()["quota"] <= QUOTA


# The primary of the user's slot

def replaced(replicas):
    """Until one of its replicas has taken over."""
    wait_until(lambda: any(map(Node.is_primary, replicas)), 20,
               "a replica to take over")
    return time.monotonic()


def follow(former, replicas):
    """Until all follow who has taken over: charges have to reach each. Redis
    may leave one to follow the former, which has become a replica."""
    primary = next(filter(Node.is_primary, replicas))
    identity = Cluster.identity(primary)
    others = {former, *replicas} - {primary}

    def settled():
        for node in others:
            if node.info().get("master_port") != str(primary.port):
                with contextlib.suppress(ReplyError):
                    node.cli("CLUSTER", "REPLICATE", identity)
        return all(map(Node.is_replica, others)) and \
            primary.info()["connected_slaves"] == str(len(others))
    wait_until(settled, 20, "the others to follow")
    return time.monotonic()


@pytest.mark.parametrize("leave, come_back", [(Node.kill, Node.start),
                                              (Node.pause, Node.resume)])
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("count", [1, 2])
def test_a_primary_goes(program, count, leave, come_back):
    with Cluster(program, (None,) * 3 * (1 + count)) as servers, begin(
            servers, redis_replicas=count) as crowd:
        gone = crowd.wait_for(QUOTA // 5)
        former = servers.owner(USER)
        replicas = servers.replicas_of(former)
        leave(former)
        replaced(replicas)
        come_back(former)
        there = follow(former, replicas)
        exact(crowd, servers)
        crowd.assert_flows(gone + MOMENT, there)


def test_an_operator_asks_for_a_fail_over(cluster):
    with begin(cluster, pace=SLOW) as crowd:
        crowd.wait_for(QUOTA // 5)
        former = cluster.owner(USER)
        replica = cluster.fail_over(former)
        replaced([replica])
        there = follow(former, [replica])
        assert crowd.accepted < QUOTA
        exact(crowd, cluster)
        crowd.assert_flows(there, there)


# Its replica

@pytest.mark.parametrize("leave, come_back", [(Node.kill, Node.start),
                                              (Node.pause, Node.resume)])
def test_a_replica_goes(cluster, leave, come_back):
    """Mail waits for it: there is no other."""
    with begin(cluster) as crowd:
        crowd.wait_for(QUOTA // 5)
        replica = cluster.replica_of(cluster.owner(USER))
        leave(replica)
        wait_until(lambda: crowd.refused, 20, "mail to be deferred")
        back = time.monotonic()
        come_back(replica)
        wait_until(replica.is_replica, 20, "the replica to follow")
        there = time.monotonic()
        exact(crowd, cluster)
        crowd.assert_flows(back, there)


# Slots and nodes that come and go

def calls(node):
    """Of functions, those that it cannot answer included."""
    found = re.search(r"^cmdstat_fcall:calls=(\d+),.*rejected_calls=(\d+)",
                      node.cli("INFO", "commandstats"), re.M)
    return sum(map(int, found.groups()))


def until_called(node, crowd):
    before = calls(node)
    wait_until(lambda: calls(node) > before or crowd.is_done(), 20,
               "somebody to ask meanwhile")


def test_the_slot_moves_while_mail_flows(cluster):
    slot = cluster.slot(USER)
    with begin(cluster) as crowd:
        for share in (5, 4, 3, 2):
            crowd.wait_for(QUOTA // share)
            source = cluster.owner(USER)
            target = next(node for node in cluster.primaries()
                          if node is not source)
            # Half of the user's keys are on either side for a while.
            cluster.move(slot, source, target,
                         lambda: until_called(source, crowd))
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

@pytest.mark.parametrize("program", PROGRAMS)
def test_a_primary_is_cut_off_with_a_relay(program):
    with Network(7) as hosts, Cluster(program, hosts[:6]) as servers:
        first = servers.owner(USER)
        replicas = servers.replicas_of(first)
        with begin(servers, places=(first.place, hosts[6], None)) as crowd:
            gone = crowd.wait_for(QUOTA // 5)
            cut(first.place)
            replaced(replicas)
            mend(first.place)
            there = follow(first, replicas)
            exact(crowd, servers)
            crowd.assert_flows(gone + MOMENT, there)
