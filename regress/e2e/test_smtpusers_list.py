# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""smtpusers(8): lists, and what filters leave of them."""

import os
import re
import subprocess
import time

import pytest

from cli import EX_DATAERR, EX_USAGE, Smtpusers
from places import PATIENCE
from redisserver import wait_until
from transfers import fill, lines_of, user

DAY = 86400


def ago(days):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ",
                         time.gmtime(time.time() - days * DAY))


def users_of(cmd):
    """name: fields, :last, domains"""
    return {
        "alice": (["account", "acme", "mode", "any", "status", "allowed",
                   "created", ago(400)], ["login", ago(3)], ["a.example"]),
        "bob": (["account", "acme", "status", "blocked", "created",
                 ago(40)], [], ["a.example", "b.example"]),
        "carol": (["mode", "", "status", "", "created", ago(2)], [], []),
        "web-1": (["account", "other", "mode", "all", "created", ago(300),
                   "ip_auth", "192.0.2.1"],
                  ["login", ago(200), "message", ago(20)], ["c.example"]),
        "web-2": (["description", "no dates"], ["login", "yesterday"], [])}


@pytest.fixture
def cmd(redis, tmp_path):
    cmd = Smtpusers(redis, tmp_path)
    for name, (fields, last, domains) in users_of(cmd).items():
        for command, suffix, words in (("HSET", "", fields),
                                       ("HSET", ":last", last),
                                       ("SADD", ":domains", domains)):
            if words:
                cmd.server.cli(command, cmd.key(name, suffix), *words)
    return cmd


ALL = ["alice", "bob", "carol", "web-1", "web-2"]


def names(cmd, *words):
    """Those who are left, which all three ways of output agree about."""
    found = cmd.ok("list", "--names", *words).stdout.split()
    assert [user["name"] for user in cmd.json("list", *words)] == found
    rows = cmd.ok("list", *words).stdout.splitlines()[1:]
    assert [row.split()[0] for row in rows] == found
    return found


@pytest.mark.parametrize("words, left", [
    ((), ALL), (("--account", "Acme"), ["alice", "bob"]),
    (("--account", "nobody"), []), (("--status", "blocked"), ["bob"]),
    (("--status", "allowed"), ["alice", "carol", "web-1", "web-2"]),
    (("--status", "sandboxed"), []), (("--mode", "any"), ["alice"]),
    (("--mode", "default"), ["bob", "carol", "web-2"]),
    (("--domain", "A.Example."), ["alice", "bob"]),
    (("--domain", "z.example"), []), (("--match", "web-*"), ALL[3:]),
    (("--match", "WEB-?"), ALL[3:]), (("--match", "*a*o*"), ["carol"]),
    (("--match", "[ab]*"), ["alice", "bob"]), (("--match", ""), []),
    (("--match", "a\\*"), []), (("--ip-auth",), ["web-1"]),
    (("--unused", "0"), ALL), (("--unused", "1"), ALL),
    (("--unused", "10"), ["bob", "web-1", "web-2"]),
    (("--unused", "30"), ["bob", "web-2"]), (("--unused", "100"), ["web-2"]),
    (("--unused", "30", "--account", "acme", "--domain", "b.example"),
     ["bob"]),
    (("--unused", "30", "--status", "allowed", "--match", "b*"), [])])
def test_filters(cmd, words, left):
    assert names(cmd, *words) == left


@pytest.mark.parametrize("words", [
    ("--status", "gone"), ("--mode", "every"), ("--unused", "-1"),
    ("--unused", "many"), ("--unused", "1.5"), ("--unused", "٣"),
    ("--unused", "9" * 5000), ("--unused", "100001"), ("--json", "--names"),
    ("alice",)])
def test_filters_that_are_none(cmd, words):
    cmd.fails(EX_USAGE, "list", *words)


def test_a_domain_that_is_none(cmd):
    assert "not a domain" in cmd.fails(EX_DATAERR, "list", "--domain", "a b")


def test_a_filter_leaves_out_what_cannot_be_read(cmd):
    cmd.server.cli("SET", cmd.key("wrong"), "x")
    cmd.server.cli("SET", cmd.key("carol", ":last"), "x")
    assert names(cmd) == [*ALL, "wrong"]
    for words in (("--unused", "0"), ("--status", "allowed")):
        found = names(cmd, *words)
        assert "wrong" not in found and "carol" not in found
    assert cmd.ok("list", "--names", "--match", "wr*").stdout == "wrong\n"


def test_names_that_are_none_are_told_apart(cmd):
    result = cmd.ok("list", "--names")
    assert result.stdout == "".join(name + "\n" for name in ALL)
    assert result.stderr == ""
    cmd.server.cli("HSET", cmd.key("Not a name"), "status", "allowed")
    result = cmd.ok("list", "--names")
    assert "Not a name" not in result.stdout
    assert "ignored, since the name in it is no user name" in result.stderr


def test_what_counts_of_messages(cmd):
    """Of those who have sent some, and have a quota now."""
    for name, quota in (("alice", "5"), ("bob", "5"), ("carol", "000"),
                        ("web-1", "5"), ("web-2", "5")):
        cmd.ok("set", name, "quota", "5")
        if name != "web-1":
            cmd.server.cli(
                "FCALL", "smtpusers_reserve", 4, cmd.key(name),
                *[cmd.key(name, ":used:" + suffix)
                  for suffix in ("quota", "rate", "hold:x")], "1d", 3)
        cmd.server.cli("HSET", cmd.key(name), "quota", quota)
    cmd.server.cli("DEL", cmd.key("bob", ":used:quota"))
    cmd.server.cli("HSET", cmd.key("bob", ":used:quota"), "a", "b")
    used = {row["name"]: row["used"] for row in cmd.json("list")}
    assert used == {"alice": 3, "bob": None, "carol": None, "web-1": 0,
                    "web-2": 3}
    assert "bob    (wrong type of key)" in cmd.ok("list").stdout


def test_little_is_asked_for_at_a_time(cmd, tmp_path):
    """Redis answers nobody else while it is at a call, or at what it has read
    at once."""
    fill(cmd.server, 2000)
    path = tmp_path / "users.jsonl"
    path.write_bytes(lines_of(*[user("v%d" % n) for n in range(2000)]))
    for words, command, at_least in (
            (("list",), "hmget", 4000), (("list",), "scan", 6000 / 150),
            (("export",), "hmget", 2000),
            (("check",), "fcall", 2000 / 8),
            (("import", path), "fcall", 2000 / 16)):
        cmd.server.cli("CONFIG", "RESETSTAT")
        cmd.run(*words)
        found = cmd.server.cli("INFO", "commandstats")
        calls = re.search("cmdstat_%s:calls=([0-9]+)" % command, found)
        assert int(calls[1] if calls else 0) >= at_least, words


def test_it_gives_way_to_others(cmd):
    niceness = max(os.getpriority(os.PRIO_PROCESS, 0), 5)
    process = cmd.start("import", stdin=subprocess.PIPE)
    wait_until(lambda: os.getpriority(os.PRIO_PROCESS, process.pid) ==
               niceness, 20, "another priority")
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


# account list

def test_accounts(cmd):
    assert cmd.json("account", "list") == []
    cmd.ok("account", "add", "acme", "--plan", "pro", "--domain", "a.example")
    cmd.ok("account", "add", "other")
    cmd.ok("account", "set", "other", "status", "blocked")
    cmd.server.cli("SET", "smtp:account:{wrong}", "x")
    assert cmd.ok("account", "list").stdout == """\
NAME   STATUS               PLAN   DOMAINS
acme   allowed              pro    1
other  blocked              basic  0
wrong  (wrong type of key)
"""
    assert cmd.json("account", "list") == [
        {"name": "acme", "status": "allowed", "plan": "pro",
         "domain_count": 1, "error": None},
        {"name": "other", "status": "blocked", "plan": "basic",
         "domain_count": 0, "error": None},
        {"name": "wrong", "status": None, "plan": None,
         "domain_count": 0, "error": "wrong type of key"}]
    assert cmd.ok("account", "list", "--names").stdout == (
        "acme\nother\nwrong\n")


@pytest.mark.parametrize("account, words", [
    ("acme", "2 users have it"), ("other", "1 user has it"),
    ("empty", "No users have it")])
def test_removal_of_an_account_says_who_has_it(cmd, account, words):
    cmd.ok("account", "add", account)
    code, shown = cmd.typed("account", "rm", account, answers=["n"])
    assert code == 1 and words in shown
    assert len(cmd.json("account", "list")) == 1
    code, shown = cmd.typed("account", "rm", account, answers=["y"])
    assert code == 0 and cmd.json("account", "list") == []
