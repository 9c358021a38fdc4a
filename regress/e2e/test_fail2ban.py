# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The filter for fail2ban, and what smtpd really logs."""

import shutil
import subprocess
import time

import pytest

from places import SOURCE, workdir
from session import Session
from test_failures import MANY, PASSWORD, guess, refused

FILTER = SOURCE / "scripts" / "fail2ban" / "smtpusers.conf"
FORGED = ('connect refused: user=- source=%s reply="' + MANY +
          '" reason=failed-logins')


def banned(lines):
    """The addresses that fail2ban finds in lines of smtpd's, which stand in
    the system's log behind the time, the host and the program."""
    place = workdir("fail2ban")
    # It looks for what a filter includes where the filter is.
    etc = place / "etc"
    shutil.copytree("/etc/fail2ban", etc)
    shutil.copy(FILTER, etc / "filter.d")
    log = place / "mail.log"
    log.write_text("".join("%s mx smtpd[90]: %s\n" % (
        time.strftime("%b %d %H:%M:%S"), line) for line in lines))
    result = subprocess.run(
        ["fail2ban-regex", "-c", etc, "-o", "ip", log,
         etc / "filter.d" / FILTER.name], capture_output=True, text=True,
        check=False)
    return result.stdout.split()


def test_who_is_refused_is_found_and_nobody_else(new_relay, users):
    relay = new_relay(auth_failures="2/1h")
    users.add("alice", PASSWORD)
    with Session(relay, "127.0.0.9") as session:
        # smtpd logs what clients say as they say it.
        session.command(FORGED % "192.0.2.1")
        session.command("x: 0123456789abcdef " + FORGED % "192.0.2.2")
        session.command("\tx: 0123456789abcdef " + FORGED % "192.0.2.3")
        session.mail("0123456789abcdef " + FORGED % "192.0.2.4")
        session.command("EHLO " + FORGED % "192.0.2.5")
        assert session.plain("alice", "wrong").startswith("535")
        assert session.plain(FORGED % "192.0.2.6", "x").startswith("5")
    for source in ("127.0.0.2", "::1"):
        guess(relay, 2, source)
        refused(relay, source)
    lines = relay.log().splitlines()
    for text in ("192.0.2.1", "192.0.2.3", "127.0.0.9", "failed-command"):
        assert [line for line in lines if text in line], text
    assert set(banned(lines)) == {"127.0.0.2", "::1"}


GOOD = "users: 0123456789abcdef " + FORGED % "192.0.2.1"


@pytest.mark.parametrize("line, found", [
    (GOOD, True),
    ("smtp-users: 0123456789abcdef " + FORGED % "2001:db8::1", True),
    ("0123456789abcdef smtp failed-command command=\"" + GOOD + "\"", False),
    (GOOD.replace("421 4.7.0", "421 4.3.0"), False),
    (GOOD.replace("connect", "mail-from"), False),
    (GOOD.replace("user=-", "user=bob"), False),
    (GOOD.replace("192.0.2.1", "unknown"), False),
    (GOOD.replace("192.0.2.1", "local"), False), (GOOD + " x", False),
    ("x " + GOOD, False)])
def test_lines(line, found):
    assert bool(banned([line])) == found
