# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""In a cluster, the server of one user is nobody else's trouble."""

import contextlib
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from crowd import Client, Relay
from linedriver import TableDriver
from places import configuration, workdir
from redisserver import wait_until
from reports import entries
from topologies import Cluster
from users import Users

AWAY = "reject|451 4.3.0 Temporary failure"


@pytest.fixture
def cluster():
    """Three primaries without replicas; one is enough for its own keys."""
    with Cluster(places=(None,) * 3) as servers:
        for server in servers.servers:
            demand_all(server, "no")
        yield servers


def demand_all(server, word):
    """Whether it answers nobody where some slot has no server."""
    server.cli("CONFIG", "SET", "cluster-require-full-coverage", word)


@pytest.fixture
def names(cluster):
    """Two users with a server each, which is not the other's."""
    users = Users(cluster)
    one = "alice"
    other = next(name for name in map("bob{}".format, range(100))
                 if owner(cluster, name) != owner(cluster, one))
    for name in (one, other):
        users.add(name, quota="1000")
    return one, other


def owner(cluster, name):
    return cluster.owner("smtp:user:{%s}" % name)


@contextlib.contextmanager
def relay(cluster, redis_timeout):
    relay = Relay(configuration(redis=cluster.url, spf="off",
                                redis_timeout=redis_timeout), ())
    try:
        yield relay
    finally:
        relay.__exit__(None)


def logged_in(relay, number, name):
    client = Client(relay, number)
    relay.answer("auth", client.session, "LOGIN")
    relay.tell("link-auth", client.session, "pass", name)
    return client


def test_a_server_that_hangs(cluster, names):
    """Others are answered while its users wait."""
    one, other = names
    hanging = owner(cluster, one)
    with relay(cluster, 60000) as filt, ThreadPoolExecutor(10) as pool:
        waiting = [logged_in(filt, number, one) for number in range(1, 11)]
        sender = logged_in(filt, 11, other)
        assert sender.send() == "proceed"
        hanging.pause()
        tries = [pool.submit(client.send) for client in waiting]
        wait_until(lambda: len(filt.waiting) == 10, 20, "all to be asked")
        for _ in range(50):
            assert sender.send() == "proceed"
        assert not any(one.done() for one in tries)
        hanging.resume()
        assert {one.result() for one in tries} == {"proceed"}


def test_what_waits_for_a_server_that_is_gone(cluster, names):
    """What is to be written to others is written meanwhile."""
    one, other = names
    gone, back = (owner(cluster, name) for name in names)
    with relay(cluster, 500) as filt:
        hostile = logged_in(filt, 1, one)
        sender = logged_in(filt, 2, other)
        assert sender.send() == "proceed"
        gone.kill()
        for _ in range(300):
            assert hostile.send() == AWAY
        back.kill()
        assert sender.send() == AWAY
        back.start()
        demand_all(back, "no")
        wait_until(lambda: "cluster_state:ok" in back.cli("CLUSTER", "INFO"),
                   20, "the server to be back")
        wait_until(lambda: [entry for entry in entries(back, other)
                            if entry["result"] == "refused"], 20, "the entry")


def test_functions_that_one_server_lost(cluster, names):
    """They are there again with the next message of a user of its."""
    with relay(cluster, 10000) as filt:
        senders = [logged_in(filt, number, name)
                   for number, name in enumerate(names, 1)]
        for name in names:
            owner(cluster, name).cli("FUNCTION", "FLUSH")
            assert [sender.send() for sender in senders] == ["proceed"] * 2
            assert owner(cluster, name).cli("FUNCTION", "LIST")


def refused(server):
    """How often it has said that it does not answer."""
    found = re.search(r"^errorstat_CLUSTERDOWN:count=(\d+)",
                      server.cli("INFO", "errorstats"), re.M)
    return int(found[1]) if found else 0


def test_a_server_that_answers_nobody(cluster, names):
    """smtpd stands still while its table waits: so it does for one login, and
    not for each that a stranger tries."""
    one, other = names
    server = owner(cluster, one)
    with TableDriver(workdir("table"), configuration(
            redis=cluster.url, redis_timeout=1000)) as table:
        assert table.lookup("credentials", one).startswith("found|")
        # It takes itself for cut off, and the others do not.
        demand_all(server, "yes")
        slot = cluster.slot("smtp:user:{%s}" % one) - 1
        server.cli("CLUSTER", "DELSLOTS", slot)
        assert table.lookup("credentials", one).startswith("error|")
        before = refused(server)
        for _ in range(10):
            assert table.lookup("credentials", one).startswith("error|")
            assert table.lookup("credentials", other).startswith("found|")
        assert 0 < refused(server) - before <= 20
        server.cli("CLUSTER", "ADDSLOTS", slot)
        wait_until(lambda: table.lookup("credentials", one).startswith(
            "found|"), 20, "the server to be found")
