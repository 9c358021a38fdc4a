# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What becomes of smtpd when one of the programs dies, and who starts it."""

import configparser
import os
import re
import signal
import subprocess

from places import SOURCE
from session import Closed, Session

PASSWORD = "Open-Sesame1"


def ended(relay):
    """smtpd's exit status, once it has ended."""
    status = relay.process.wait(30)
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
