# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""The stream of events: what is written, and what smtpusers(8) shows."""

import json
import re
import signal

import pytest

from cli import (EX_DATAERR, EX_UNAVAILABLE, EX_USAGE, Smtpusers, log_in_as)
from places import workdir
from redisserver import RedisServer, wait_until
from topologies import Cluster

KEY = "smtp:events"


@pytest.fixture
def cmd(redis, tmp_path):
    return Smtpusers(redis, tmp_path, relay_name="mx1.example")


def add(server, ident="*", **fields):
    words = [word for pair in fields.items() for word in pair]
    return server.cli("XADD", KEY, ident, *words)


def told(cmd, *words):
    """The events that are shown, as they are for programs."""
    return [json.loads(line) for line in
            cmd.ok("events", "--json", *words).stdout.splitlines()]


def kinds(cmd, *words):
    return [event["kind"] for event in told(cmd, *words)]


# Suspensions

def test_a_status_that_changes_is_told_once(cmd):
    cmd.ok("account", "add", "acme")
    cmd.ok("add", "alice", "--no-password", "--account", "acme")
    cmd.ok("block", "alice")
    cmd.ok("block", "alice")
    cmd.ok("set", "alice", "status", "sandboxed")
    cmd.ok("set", "alice", "mode", "all")
    cmd.ok("allow", "alice")
    cmd.ok("account", "set", "acme", "status", "blocked")
    cmd.ok("account", "set", "acme", "plan", "pro")
    events = told(cmd)
    assert [(event["kind"], event["former"]) for event in events] == [
        ("user.blocked", "allowed"), ("user.sandboxed", "blocked"),
        ("user.allowed", "sandboxed"), ("account.blocked", "allowed")]
    for event in events:
        assert event["account"] == "acme" and event["by"] == "command"
        assert event["relay"] == "mx1.example"
        assert event.get("user") == ("alice" if event["kind"][0] == "u"
                                     else None)
        assert re.fullmatch("[0-9a-f]{16}", event["id"])
        assert re.fullmatch("[0-9]+-[0-9]+", event["entry"])
    assert len({event["id"] for event in events}) == 4


def test_what_was_not_done_is_not_told(cmd):
    cmd.run("block", "nobody-here")
    cmd.ok("add", "alice", "--no-password")
    cmd.run("set", "alice", "status", "asleep")
    cmd.server.cli("SET", cmd.key("bob"), "x")
    assert "not a hash" in cmd.fails(EX_DATAERR, "block", "bob")
    assert cmd.server.cli("EXISTS", KEY) == 0


def test_what_cannot_be_told_is_done(cmd):
    cmd.ok("add", "alice", "--no-password")
    cmd.server.cli("SET", KEY, "x")
    result = cmd.ok("block", "alice")
    assert "done, but the event could not be written" in result.stderr
    assert cmd.server.cli("HGET", cmd.key("alice"), "status") == "blocked"
    assert KEY + ": not a stream" in cmd.fails(EX_DATAERR, "events")


def test_the_command_may_do_it_all(cmd, tmp_path):
    """With the rights that setup prints."""
    cmd.ok("add", "alice", "--no-password")
    other = log_in_as(cmd.server, "command", tmp_path)
    try:
        assert other.ok("block", "alice").stderr == ""
        assert kinds(other, "--since", "1h") == ["user.blocked"]
        process = other.start("events", "-f", "--json")
        try:
            assert "user.blocked" in process.stdout.readline()
            other.ok("allow", "alice")
            assert "user.allowed" in process.stdout.readline()
        finally:
            process.kill()
            process.communicate()
    finally:
        cmd.server.cli("ACL", "DELUSER", "command")


# Showing

def test_the_last_ones(cmd):
    assert cmd.ok("events").stdout == ""
    for n in range(30):
        add(cmd.server, "17000000000%02d-0" % n, kind="k%d" % n,
            user="alice" if n % 3 else "bob", account="acme")
    assert kinds(cmd) == ["k%d" % n for n in range(10, 30)]
    assert kinds(cmd, "-n", "2") == ["k28", "k29"]
    assert kinds(cmd, "-n", "0") == []
    assert kinds(cmd, "-n", "3", "BOB") == ["k21", "k24", "k27"]
    assert len(kinds(cmd, "acme", "-n", "100")) == 30
    assert kinds(cmd, "nobody") == []
    assert kinds(cmd, "--since", "1d") == []
    assert len(kinds(cmd, "--since", "2023-11-14")) == 30
    assert kinds(cmd, "--since", "2023-11-14T22:13:20Z", "-n", "1") == ["k29"]
    assert kinds(cmd, "--since", "2023-11-14T22:13:21Z") == []


def test_however_many_there_are(cmd):
    """They are read in pages, and those of one are found among others'."""
    with cmd.server.connect(60) as link:
        for n in range(3500):
            link.send("XADD", KEY, "1700000000%03d-%d" % (n // 4, n % 4 + 1),
                      "kind", "k", "user", "rare" if n % 1700 == 5 else "u",
                      "n", n)
        for _ in range(3500):
            link.read()
    assert [event["n"] for event in told(cmd, "-n", "5000")] == [
        str(n) for n in range(3500)]
    assert [event["n"] for event in told(cmd, "rare")] == [
        "5", "1705", "3405"]
    assert len(told(cmd, "--since", "2023-11-01")) == 3500


def test_lines_for_people(cmd):
    add(cmd.server, "1700000000000-0", id="0123456789abcdef",
        kind="limit.reached", user="alice", account="acme", limit="5",
        relay="mx1.example")
    assert cmd.ok("events").stdout == (
        "2023-11-14T22:13:20Z limit.reached    user=alice account=acme "
        "limit=5 relay=mx1.example\n")


HOSTILE = [b"\xff\xfe\x00", "two\nlines\r\x1b[2J", "\u202e", "\\", "",
           "x" * 100000]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_events(cmd, value):
    raw = value.encode() if isinstance(value, str) else value
    real = cmd.server.cli("XADD", KEY, "*", "kind", raw, "id", raw, "user",
                          raw, "entry", raw, "time", raw, raw, raw)
    line = cmd.ok("events").stdout
    assert line.count("\n") == 1 and "\x1b" not in line
    event, = told(cmd)
    assert event["entry"] == real and event["kind"] == raw.decode(
        "utf-8", "replace")
    assert re.match("20..-..-..T", event["time"])
    add(cmd.server, "99999999999999999-0", kind="of the far future")
    assert "of the far future" in cmd.ok("events").stdout
    assert told(cmd)[-1]["kind"] == "of the far future"


@pytest.mark.parametrize("words", [
    ("--since", "yesterday"), ("--since", "2h ago"), ("--since", ""),
    ("-n", "x"), ("--since", "2026-13-01"), ("--sin", "1h")])
def test_wrong_words(cmd, words):
    cmd.fails(EX_USAGE, "events", *words)


# Following

def test_events_are_followed(cmd):
    add(cmd.server, kind="old", user="bob")
    process = cmd.start("events", "-f", "--json", "-n", "0", "alice")
    try:
        wait_until(lambda: "xread" in cmd.server.cli("CLIENT", "LIST"), 60,
                   "the follower")
        add(cmd.server, kind="of another", user="bob")
        for n in range(5):
            add(cmd.server, kind="k%d" % n, account="alice")
            assert json.loads(process.stdout.readline())["kind"] == "k%d" % n
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == ""
        assert process.returncode == 130
    finally:
        process.kill()
        process.communicate()


def test_a_follower_outlives_redis():
    """However it goes: nothing is left out, and nothing shown twice."""
    extra = ("--appendonly", "yes", "--appendfsync", "always")
    with RedisServer(workdir("redis"), extra=extra) as server:
        cmd = Smtpusers(server, workdir("events"), redis_timeout=200)
        add(server, kind="first")
        process = cmd.start("events", "-f", "--json")
        try:
            assert "first" in process.stdout.readline()
            for n, end in enumerate((server.stop, server.kill, None)):
                if end:
                    end()
                    server.start()
                else:
                    server.cli("CLIENT", "KILL", "TYPE", "normal")
                add(server, kind="k%d" % n)
                assert json.loads(process.stdout.readline())["kind"] == (
                    "k%d" % n)
            server.pause()
            wait_until(lambda: "did not answer" in
                       process.stderr.readline(), 60, "the loss to be told")
            server.resume()
            add(server, kind="last")
            assert json.loads(process.stdout.readline())["kind"] == "last"
        finally:
            process.kill()
            process.communicate()


def test_without_redis(cmd, tmp_path):
    away = Smtpusers(cmd.server, tmp_path, redis="unix:/nowhere/at-all")
    away.fails(EX_UNAVAILABLE, "events")
    away.fails(EX_UNAVAILABLE, "events", "-f")


def test_in_a_cluster():
    """The stream is on one server, and what it tells of on others."""
    with Cluster() as cluster:
        cmd = Smtpusers(cluster, workdir("events"))
        names = ["u%d" % n for n in range(6)]
        for name in names:
            cmd.ok("add", name, "--no-password")
        process = cmd.start("events", "-f", "--json")
        try:
            for name in names:
                cmd.ok("block", name)
                event = json.loads(process.stdout.readline())
                assert (event["kind"], event["user"]) == (
                    "user.blocked", name)
        finally:
            process.kill()
            process.communicate()
        assert kinds(cmd, "u3") == ["user.blocked"]
