# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What becomes of smtpd when one of the programs dies, and who starts it."""

import configparser
import os
import re
import signal
import subprocess

import pytest

from cli import FILTER, SCRIPT
from manual import displays
from places import PATIENCE, SOURCE, free_port, workdir
from redisserver import RedisServer
from reports import log
from session import Closed, Session
from users import Users

PASSWORD = "Open-Sesame1"


def ended(relay):
    """smtpd's exit status, once it has ended."""
    status = relay.process.wait(PATIENCE)
    relay.stop()
    return status


def test_smtpd_ends_with_its_filter(new_relay):
    relay = new_relay()
    os.kill(relay.pid_of("filter-smtpusers"), signal.SIGKILL)
    assert ended(relay) == 0


def test_smtpd_ends_at_the_next_login_without_its_table(new_relay, users):
    relay = new_relay()
    users.add("alice", PASSWORD)
    os.kill(relay.pid_of("table-smtpusers"), signal.SIGKILL)
    with Session(relay) as session:
        try:
            assert not session.plain("alice", PASSWORD).startswith("235")
        except Closed:
            pass
    ended(relay)


def test_systemd_starts_it_again_whatever_its_status():
    said = subprocess.run(
        ["make", "-n", "-C", str(SOURCE), "install", "DESTDIR=/tmp/dest",
         "B=/tmp/none"], check=True, capture_output=True, text=True).stdout
    source, = re.findall(
        r"(scripts/\S+) +/tmp/dest/usr/local/lib/systemd/system/"
        r"opensmtpd\.service\.d/smtpusers\.conf\n", said)
    unit = configparser.ConfigParser()
    unit.optionxform = str
    unit.read_string((SOURCE / source).read_text())
    assert {section: dict(unit[section]) for section in unit.sections()} == {
        "Unit": {"StartLimitIntervalSec": "0"},
        "Service": {"Restart": "always", "RestartSec": "2"}}


@pytest.fixture
def server():
    """A Redis that no other relay writes to, not even late."""
    with RedisServer(workdir("server")) as server:
        yield server


def test_a_stolen_password_by_the_manual(server, new_relay):
    """What was accepted meanwhile goes from the queue, and nobody else's."""
    users = Users(server)
    relay = new_relay(server.url, rules=[
        'match auth from any for any action "relay"'])
    relay.sink_port = free_port()
    relay.stop()
    relay.start()
    for name in ("alice", "bob"):
        users.add(name, PASSWORD)
        with Session(relay) as session:
            assert session.plain(name, PASSWORD).startswith("235")
            for mark in range(3):
                assert session.message(str(mark)).startswith("250")

    def queued():
        return len(relay.ctl("show", "queue").stdout.splitlines())

    log(server, "alice", 4)
    assert queued() == 6
    page, = [text for _, text in displays(
        SOURCE / "scripts" / "smtpusers.8") if "smtpusers queue" in text]
    block, remove = re.fullmatch(
        r"(# smtpusers block alice\n)(.*)# smtpusers passwd.*", page,
        re.DOTALL).groups()
    shell = "smtpusers() { %s -f %s \"$@\"; }\n" % (SCRIPT, relay.conf_path)
    for text in (block, remove):
        done = relay.enter("sh", "-euc", shell + re.sub(
            r"^[#>] ", "", text, flags=re.MULTILINE),
            env={**os.environ, "SMTPUSERS_FILTER": str(FILTER)})
        assert done.returncode == 0, done.stderr
    assert queued() == 3
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD).startswith("535")
        assert session.plain("bob", PASSWORD).startswith("235")
