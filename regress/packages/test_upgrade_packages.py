# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""From the version before to this one, while mail flows."""

import itertools
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from debs import FILTER, VERSION, older, put, run, status
from places import PATIENCE, configuration, workdir
from quotas import Functions
from redisserver import RedisServer, wait_until
from relay import Relay, certificate
from session import Closed, Session
from sink import Sink
from test_quota import HASH, NUMBER
from test_upgrade import OLD, older_text
from users import Users

PASSWORD = "Open-Sesame1"
QUOTA = 1000000

# Tells what it is asked, and does nothing; the hooks are off.
SYSTEMCTL = """#!/bin/sh
echo "$*" >>/run/systemctl.log
case "$*" in
*is-enabled*smtpusers* | *is-active*smtpusers*)
	exit 1
	;;
esac
"""


class Traffic:
    """Clients who send one message after another: what they were told."""

    def __init__(self, relay, clients=3):
        self.relay = relay
        self.accepted, self.unknown = set(), set()
        self.refusals, self.wrong = Counter(), []
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.marks = itertools.count()
        self.threads = [threading.Thread(target=self.send)
                        for _ in range(clients)]
        self.threads.append(threading.Thread(target=self.trespass))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def again(self, talk):
        """A session after the other, whatever becomes of smtpd."""
        while not self.over.is_set():
            try:
                with Session(self.relay) as session:
                    if session.plain("alice", PASSWORD).startswith("235"):
                        talk(session)
            except (Closed, OSError):
                self.over.wait(0.05)

    def send(self):
        self.again(self.messages)

    def messages(self, session):
        for _ in range(20):
            with self.lock:
                mark = "mark-%d-" % next(self.marks)
                self.unknown.add(mark)
            reply = session.message(mark)
            with self.lock:
                self.unknown.discard(mark)
                if reply.startswith("250"):
                    self.accepted.add(mark)
                else:
                    self.refusals[reply[:3]] += 1
            if self.over.is_set():
                return

    def trespass(self):
        """Somebody else's domain must never be let through."""
        self.again(self.trespasses)

    def trespasses(self, session):
        reply = session.mail("alice@bank.example")
        with self.lock:
            if reply.startswith("2"):
                self.wrong.append(reply)
        self.over.wait(0.05)

    def more(self, count=30):
        """So many more are accepted from now on."""
        goal = len(self.accepted) + count
        wait_until(lambda: len(self.accepted) >= goal, PATIENCE,
                   "%d messages" % count)


@pytest.fixture
def manager():
    """Where dpkg's scripts find systemd, and what they ask of it."""
    command = Path("/usr/local/bin/systemctl")
    running = Path("/run/systemd/system")
    log = Path("/run/systemctl.log")
    running.mkdir(parents=True)
    command.write_text(SYSTEMCTL)
    command.chmod(0o755)
    yield lambda: log.read_text().splitlines() if log.exists() else []
    command.unlink()
    running.rmdir()


@pytest.fixture
def former(bare, debs):
    made, version = older(debs, workdir("older"), older_text())
    put(*made.paths())
    assert version in run(FILTER, "-V")
    return version


@pytest.fixture
def site(former):
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(workdir("redis")))
        sink = stack.enter_context(Sink())
        spool = workdir("spool")
        conf = configuration(redis=redis.url,
                             report_url="https://reports.example.net/")
        relay = stack.enter_context(Relay(
            workdir("relay"), *certificate(workdir("tls")), sink.port, conf,
            kind="installed", spool=spool))
        users = Users(redis)
        users.add("alice", PASSWORD, quota=str(QUOTA))
        yield relay, redis, sink
        relay.check([PASSWORD.encode()])


def functions(redis):
    return redis.cli("FCALL", "smtpusers_version", 0)


def test_an_upgrade_under_traffic(site, former, debs, manager):
    relay, redis, sink = site
    with Traffic(relay) as traffic:
        traffic.more()
        assert functions(redis) == [NUMBER - 1, OLD]
        said = put(*debs.paths())
        assert "error" not in said.lower()
        # What runs is what was started; it goes on.
        traffic.more()
        relay.stop()
        relay.start()
        traffic.more()
    assert manager().count("try-restart opensmtpd.service") == 1
    assert "--system daemon-reload" in manager()
    assert not [line for line in manager() if "smtpusers" in line
                and "start" in line.split()]
    for name in debs:
        assert status(name) == "installed " + VERSION
    assert functions(redis) == [NUMBER, HASH]
    assert traffic.wrong == []
    assert set(traffic.refusals) <= {"421", "451"}
    check_books(traffic, redis, sink)


def check_books(traffic, redis, sink):
    """Each message arrives, and has been counted once. What smtpd is at when it
    is ended, it may deliver again."""
    def arrived():
        return Counter(message.head.rpartition(b"Subject: ")[2].split()[0]
                       .decode() for message in sink.messages)
    wait_until(lambda: set(arrived()) >= traffic.accepted, PATIENCE,
               "all that was accepted")
    assert set(arrived()) <= traffic.accepted | traffic.unknown
    counters = Functions.__new__(Functions)
    counters.redis, counters.user = redis, "smtp:user:{alice}"
    used = counters.used()["quota"]
    sent = len(traffic.accepted)
    assert sent <= used <= sent + len(traffic.unknown) + sum(
        traffic.refusals.values())
    print("%d accepted, %d unknown, %s" % (sent, len(traffic.unknown),
                                           dict(traffic.refusals)))
