# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers(8): what a user has in the queue of a relay."""

import json
import os

import pytest

from cli import (EX_NOPERM, EX_NOUSER, EX_UNAVAILABLE, EX_USAGE, FILTER,
                 SCRIPT, Smtpusers)
from reports import PASSWORD, log
from session import Session
from test_smtpusers_json import validated


# With an smtpd

class Host:
    """A relay whose mail stays in the queue, and the command there."""

    def __init__(self, relay):
        self.relay = relay
        assert relay.ctl("pause", "mta").returncode == 0

    def run(self, *words, before=()):
        done = self.relay.enter(
            *before, SCRIPT, "-f", self.relay.conf_path, "queue", *words,
            env={**os.environ, "SMTPUSERS_FILTER": str(FILTER)})
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def ok(self, *words):
        code, out, err = self.run(*words)
        assert code == 0, err
        return out.splitlines(), err

    def queued(self):
        return self.relay.ctl("show", "queue").stdout.decode().splitlines()

    def send(self, name, source="127.0.0.1", recipients=("bob@example.com",),
             login=True, count=1):
        with Session(self.relay, source) as session:
            if login:
                assert session.plain(name, PASSWORD).startswith("235")
            for _ in range(count):
                assert session.message(recipients=recipients).startswith("250")


@pytest.fixture
def host(new_relay, users):
    host = Host(new_relay())
    for name in ("alice", "bob"):
        users.add(name, PASSWORD)
    return host


def test_show_pause_resume_remove(host, redis):
    host.send("alice", recipients=["a@example.com", "b@example.com"])
    host.send("bob", count=2)
    host.send("alice")
    log(redis, "alice", 4)
    lines, err = host.ok("Alice")
    assert not err
    assert [line.split(" ", 1)[1] for line in sorted(
        lines, key=lambda line: line.split()[4])] == [
            "pending  alice@example.org > %s@example.com, 0 attempts" % name
            for name in ("a", "b", "bob")]
    assert host.ok("alice", "--pause")[0] == ["3 envelopes paused"]
    rows = [validated("queue", line) for line in host.ok("alice", "--json")[0]]
    assert {row["state"] for row in rows} == {"paused"}
    assert {row["envelope"][:8] for row in rows} == {
        row["msgid"] for row in rows}
    assert {row["recipient"] for row in rows} == {
        "a@example.com", "b@example.com", "bob@example.com"}
    assert all(row["created"].startswith("20") for row in rows)
    assert not [line for line in host.ok("bob")[0] if "paused" in line]
    assert host.ok("alice", "--resume")[0] == ["3 envelopes resumed"]
    assert host.ok("alice", "--resume")[0] == ["0 envelopes resumed"]
    code, _, err = host.run("alice", "--remove")
    assert (code, "--yes" in err) == (EX_USAGE, True)
    assert host.ok("alice", "--remove", "--yes")[0] == ["3 envelopes removed"]
    assert len(host.queued()) == 2
    assert host.ok("alice", "--remove", "--yes")[0] == ["0 envelopes removed"]
    assert host.ok("alice") == ([], "")


def test_who_sends_by_address(host, redis, users):
    users.add("printer")
    users.ip_auth("printer", "127.0.0.2")
    users.add("sixth")
    users.ip_auth("sixth", "::1")
    host.send("printer", "127.0.0.2", login=False)
    host.send("sixth", "::1", login=False)
    host.send("alice", "127.0.0.2")
    for name in ("printer", "sixth"):
        log(redis, name, 1)
        assert len(host.ok(name)[0]) == len(host.ok(name, "--all")[0]) == 1
        redis.cli("DEL", users.key(name, "log"))
        assert host.ok(name)[0] == []
        assert len(host.ok(name, "--all")[0]) == 1


def test_what_is_not_in_the_log(host, redis, users):
    """It is cut, and a user who is gone has one for a while."""
    host.send("alice", count=2)
    log(redis, "alice", 3)
    redis.cli("XTRIM", users.key("alice", "log"), "MAXLEN", "1")
    assert len(host.ok("alice")[0]) == 1
    assert len(host.ok("alice", "--all")[0]) == 2
    for _ in range(1000):
        redis.cli("XADD", users.key("alice", "log"), "*", "event", "login")
    assert "--all looks at all" in host.ok("alice")[1]
    assert host.ok("alice", "--all")[1] == ""
    redis.cli("DEL", users.key("alice"))
    assert len(host.ok("alice")[0]) == 1
    assert host.run("nobody")[0] == EX_NOUSER


def test_who_was_renamed(host, redis, users):
    host.send("alice")
    log(redis, "alice", 2)
    redis.cli("RENAME", users.key("alice"), users.key("carol"))
    redis.cli("RENAME", users.key("alice", "log"), users.key("carol", "log"))
    assert len(host.ok("carol")[0]) == 1


def test_a_log_that_names_anothers_message(host, redis, users):
    """An id may come twice, and a log may be forged."""
    host.send("bob", "127.0.0.3")
    ident = log(redis, "bob", 2)[1]["msgid"]
    for source in ("127.0.0.9", "local", ""):
        redis.cli("XADD", users.key("alice", "log"), "*", "event", "message",
                  "msgid", ident, "source", source)
        assert host.ok("alice")[0] == []
        assert host.ok("alice", "--remove", "--yes")[0] == [
            "0 envelopes removed"]
    assert len(host.queued()) == 1


def test_an_address_with_what_separates_the_fields(host, redis):
    host.send("alice", recipients=["x|y|1|2|3|4|pending|5|@example.com"])
    log(redis, "alice", 2)
    line, = host.ok("alice")[0]
    assert line == host.queued()[0]
    row, = map(json.loads, host.ok("alice", "--json")[0])
    assert row["recipient"] is None and row["envelope"] == line[:16]
    assert host.ok("alice", "--remove", "--yes")[0] == ["1 envelope removed"]


def test_who_may_not(host):
    host.send("alice")
    os.chmod(host.relay.conf_path, 0o644)
    os.chmod(host.relay.dir, 0o755)
    code, out, err = host.run("alice", before=(
        "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"))
    assert (code, out) == (EX_NOPERM, ""), err
    assert err == "smtpusers: smtpctl: need root privileges\n"


# With an smtpctl that says what it likes

FAKE = """#!/usr/bin/python3
import os, sys, time
place = os.path.dirname(os.path.realpath(sys.argv[0]))
with open(place + "/said", "a") as file:
    print(*sys.argv[1:], file=file)
%s
"""
ENVELOPE = "username: alice\nsockaddr: 127.0.0.1\n"
ORDINARY = """
if sys.argv[1:] == ["show", "queue"]:
    for n in range(%d):
        print("%%08x%%08x|inet4|mta|auth|a@example.org|b@example.com|"
              "b@example.com|1795674344|1795674344|0|0|pending|-2|" %% (
                  n // %d, n))
elif sys.argv[1] == "show":
    print(""" + repr(ENVELOPE) + """)
else:
    print("7 envelopes removed")
"""


@pytest.fixture
def cmd(redis, tmp_path, users):
    cmd = Smtpusers(redis, tmp_path)
    users.add("alice")
    for n in range(3):
        redis.cli("XADD", users.key("alice", "log"), "*", "event", "message",
                  "msgid" if n else "message", "%08x" % n, "source",
                  "127.0.0.1")
    return cmd


def fake(cmd, text):
    place = cmd.file.parent
    (place / "smtpctl").write_text(FAKE % text)
    (place / "smtpctl").chmod(0o755)
    cmd.environment["PATH"] = "%s:%s" % (place, os.environ["PATH"])
    return place / "said"


def test_very_many(cmd):
    """One question for each message of the user, however many envelopes."""
    said = fake(cmd, ORDINARY % (100000, 10000))
    assert len(cmd.ok("queue", "alice").stdout.splitlines()) == 30000
    assert len(said.read_text().splitlines()) == 4
    assert cmd.ok("queue", "alice", "--remove", "--yes").stdout == \
        "21 envelopes removed\n"
    assert said.read_text().splitlines()[-3:] == [
        "remove %08x" % n for n in range(3)]


def test_who_has_seen_enough(cmd):
    fake(cmd, ORDINARY % (100000, 100000))
    result = cmd.redirected("| head -n 1", "queue", "alice")
    assert len(result.stdout.splitlines()) == 1
    assert "Traceback" not in result.stderr


LINE = "00000000aaaaaaaa|inet4|mta|auth|a@x|b@y|b@y|1|1|0|0|pending|0|"


@pytest.mark.parametrize("text, shown", [
    ("print('x' * 100000000)", 0),
    ("os.write(1, b'\\xff\\0|' * 100000)", 0),
    ("print(%r + '\\x1b[2J' + 'x' * 1000000)" % LINE, 1),
    ("print(%r.upper())" % LINE, 0), ("print(' ' + %r)" % LINE, 0),
    ("print(%r[:16])" % LINE, 0), ("print(%r[:17])" % LINE, 1),
    ("print('00000000zzzzzzzz|')", 0),
    ("print(%r.replace('|1|', '|999999999999|'))" % LINE, 1),
    ("os.write(2, b'x' * 10000000)\n    print(%r)" % LINE, 1),
    ("print(%r, end='')" % LINE, 1)])
def test_strange_lines(cmd, text, shown):
    fake(cmd, "if sys.argv[2] == 'queue':\n    %s\nelse:\n    print(%r)" % (
        text, "username: alice\n"))
    result = cmd.ok("queue", "alice")
    assert len(result.stdout.splitlines()) == shown
    assert "\x1b" not in result.stdout
    for line in cmd.ok("queue", "alice", "--json").stdout.splitlines():
        assert validated("queue", line)["msgid"] == "00000000"


@pytest.mark.parametrize("answer", [
    "", "x", "username: bob", "username: alice2", " username: alice",
    "sender: username: alice", "username: bob\nusername: alice",
    "sockaddr: 127.0.0.2", "username:alice", "sockaddr: x",
    "username: bob\nsockaddr: local"])
def test_envelopes_of_somebody_else(cmd, answer):
    fake(cmd, "print(%r if sys.argv[2] == 'queue' else %r)" % (LINE, answer))
    assert cmd.ok("queue", "alice").stdout == ""
    assert cmd.ok("queue", "alice", "--all").stdout == ""


def test_it_fails(cmd):
    for text, code, words in (
            ("print('smtpctl: need root privileges', file=sys.stderr)\n"
             "sys.exit(1)", EX_NOPERM, "need root privileges"),
            ("sys.exit('smtpctl: connect: \\x1b[2J')", EX_UNAVAILABLE,
             "connect: \\x1b[2J"),
            ("sys.exit(1)", EX_UNAVAILABLE, "it has failed"),
            ("os.kill(os.getpid(), 9)", EX_UNAVAILABLE, "it has failed")):
        fake(cmd, text)
        assert words in cmd.fails(code, "queue", "alice")
    for answer in ("", "removed", "-1 envelopes removed", "1 envelope\n"):
        fake(cmd, "print(%r if sys.argv[2] == 'queue' else %r if "
             "sys.argv[1] == 'show' else %r)" % (LINE, "username: alice",
                                                 answer))
        assert "smtpctl said: " in cmd.fails(
            EX_UNAVAILABLE, "queue", "alice", "--remove", "--yes")


def test_where_there_is_none(cmd):
    cmd.environment["PATH"] = "/nonexistent"
    cmd.script = "/usr/bin/python3"
    argv = cmd.argv
    cmd.argv = lambda *words: ["/usr/bin/python3", "-c", (
        "import shutil, sys, runpy\n"
        "shutil.which = lambda *_, **__: None\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"), SCRIPT,
        *argv(*words)[1:]]
    assert cmd.fails(EX_UNAVAILABLE, "queue", "alice") == (
        "smtpusers: smtpctl is not here: this is for the host of a relay\n")


def test_usage(cmd):
    for words in ((), ("alice", "--pause", "--remove"),
                  ("alice", "--json", "--pause"), ("alice", "--yes"),
                  ("alice", "--pause", "--yes"), ("alice", "bob")):
        assert cmd.run("queue", *words).returncode == EX_USAGE
