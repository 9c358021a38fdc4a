# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Fixtures: one smtpd with its Redis, and one receiving side, that most tests
share, and another Redis for tests without that smtpd.

Every test has an empty Redis and finds at its end that nothing has died,
that no sanitizer had a word to say and that no password is in a log.
"""

import os
import subprocess

import pytest

from hooks.panelsite import Site, install
from places import (IPV6_SOURCES, REPORT_URL, configuration, isolated, suite,
                    workdir)
from redisserver import RedisServer, wait_until
from relay import Relay, certificate, shared
from session import Session
from sink import Sink
from users import Users


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "smtpd79: needs smtpd 7.9, runs in the forky root only")
    config.addinivalue_line(
        "markers", "exact: counts what may never be wrong, so that a failure "
        "is one, on whatever machine: regress/check.py")
    if isolated() and hasattr(config, "workerinput"):
        apart()


def apart():
    """Its own loopback, /run and /usr/local for each of the processes that
    share the tests: none of them knows which port another has just found
    free, and some tests put things where a manual page says that they are."""
    os.unshare(os.CLONE_NEWNET | os.CLONE_NEWNS)
    for command in (["ip", "link", "set", "lo", "up"],
                    ["mount", "--make-rprivate", "/"],
                    ["mount", "-t", "tmpfs", "none", "/run"],
                    ["mount", "-t", "tmpfs", "none", "/usr/local"]):
        subprocess.run(command, check=True)


def pytest_collection_modifyitems(items):
    newer = suite() == "forky"
    for item in items:
        if "smtpd79" in item.keywords and not newer:
            item.add_marker(pytest.mark.skip("needs smtpd 7.9"))


@pytest.fixture(scope="session", autouse=True)
def addresses():
    """Sources to send from, besides ::1 and 127.0.0.0/8."""
    if not isolated():
        pytest.exit("run these by `make check`: they want a network of "
                    "their own", 2)
    for address in IPV6_SOURCES:
        subprocess.run(["ip", "-6", "address", "replace", address + "/128",
                        "dev", "lo", "nodad"], check=True)


@pytest.fixture(scope="session")
def tls():
    return certificate(workdir("tls"))


@pytest.fixture(scope="session")
def shared_sink():
    sink = Sink()
    yield sink
    sink.stop()


@pytest.fixture
def sink(shared_sink):
    shared_sink.clear()
    return shared_sink


@pytest.fixture(scope="session")
def shared_redis():
    with RedisServer(workdir("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def quiet_redis():
    """One that no relay of other tests tells how it is."""
    with RedisServer(workdir("redis")) as server:
        yield server


@pytest.fixture
def redis(request):
    shared = "shared_redis" in request.fixturenames
    server = request.getfixturevalue(
        "shared_redis" if shared else "quiet_redis")
    server.cli("FLUSHALL")
    yield server
    if server.process is None:
        server.start()
    server.resume()


@pytest.fixture
def users(redis):
    return Users(redis)


@pytest.fixture(scope="session")
def shared_relay(shared_redis, shared_sink, tls):
    conf = configuration(redis=shared_redis.url, report_url=REPORT_URL)
    yield from shared(conf, tls, shared_sink)


@pytest.fixture
def relay(shared_relay, users, sink):
    """The shared relay, started again where a test before ended it."""
    process = shared_relay.process
    if process is None or process.poll() is not None:
        shared_relay.stop()
        forget(shared_relay)
        shared_relay.start()
    if shared_relay.redis_pid != users.redis.pid:
        wait_until(lambda: connected(shared_relay, users), 20,
                   "table and filter to find the new Redis")
        # It is written behind, and would come after the flush.
        wait_until(lambda: users.redis.cli("EXISTS", "smtp:user:{probe}:last"),
                   20, "what the probe has done to be logged")
        users.redis.cli("FLUSHALL")
    shared_relay.redis_pid = users.redis.pid
    yield shared_relay
    shared_relay.check(users.secrets)


def connected(relay, users):
    """Whether somebody can log in and send."""
    users.add("probe", "Probe-Word1")
    with Session(relay) as session:
        return session.login("probe", "Probe-Word1").startswith("235") and \
            session.mail().startswith("250")


def forget(relay):
    """What the last smtpd said is not the next test's fault."""
    relay.log_path.unlink(missing_ok=True)
    for report in relay.reports.iterdir():
        report.unlink()


@pytest.fixture
def new_relay(redis, sink, users, tls):
    """A relay of the test's own: new_relay(socket_filter=True, prefix="x:")."""
    relays = []

    def make(url=None, start=True, socket_filter=False, rules=None,
             kind="san", **keys):
        conf = configuration(redis=url or redis.url, report_url=REPORT_URL,
                             **keys)
        relay = Relay(workdir("relay"), *tls, sink.port, conf, kind=kind,
                      socket_filter=socket_filter, rules=rules)
        relays.append(relay)
        return relay.start() if start else relay

    yield make
    for relay in relays:
        if relay.process is None:
            continue
        try:
            relay.check(users.secrets)
        finally:
            relay.stop()
        relay.check_traces(users.secrets)


@pytest.fixture(scope="module")
def prefix():
    """Where the hooks are installed."""
    return install()


@pytest.fixture
def site(prefix, redis):
    return Site(prefix, redis)
