# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""smtpusers(8) and the functions in Redis: whose are used, and how they are
loaded."""

import re

import pytest

from places import REDIS7, build
from cli import (EX_CANTCREAT, EX_DATAERR, EX_NOPERM, EX_NOUSER,
                       EX_UNAVAILABLE, Smtpusers)
from redisserver import RedisServer

LIBRARY = (build() / "smtpusers.lua").read_text()
NUMBER, HASH = re.match(r"#!lua name=smtpusers_([0-9]+)_([0-9a-f]{16})\n",
                        LIBRARY).groups()
NUMBER = int(NUMBER)
VERSION = [NUMBER, HASH]
WRITING = [("add", "bob", "--no-password"), ("block", "alice"),
           ("passwd", "alice", "--generate"), ("rm", "alice", "--yes"),
           ("set", "alice", "quota", "5"), ("source", "add", "alice", "::1"),
           ("source", "rm", "alice", "::1"),
           ("ipauth", "set", "alice", "192.0.2.1"),
           ("domain", "add", "alice", "a.example"),
           ("account", "add", "acme")]
NEEDING = WRITING + [("show", "alice"), ("quota", "alice"),
                     ("list", "--domain", "a.example")]


@pytest.fixture
def server(tmp_path):
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def cmd(server, tmp_path):
    cmd = Smtpusers(server, tmp_path)
    server.cli("HSET", cmd.key("alice"), "status", "allowed")
    return cmd


def version(server):
    return server.cli("FCALL", "smtpusers_version", 0)


def with_version(number, digest=HASH):
    text = re.sub(r"^local VERSION = \d+", "local VERSION = %d" % number,
                  LIBRARY, flags=re.MULTILINE)
    return text.replace("smtpusers_%d_" % NUMBER,
                        "smtpusers_%d_" % number).replace(HASH, digest)


def calls(server, command):
    """How often Redis was asked this since it started."""
    found = re.search(r"cmdstat_%s:calls=(\d+)" % re.escape(command),
                      server.cli("INFO", "commandstats"))
    return int(found[1]) if found else 0


@pytest.mark.parametrize("words", NEEDING)
def test_loaded_where_they_are_missing(cmd, server, words):
    cmd.ok(*words)
    assert version(server) == VERSION
    assert calls(server, "function|load") == 1


def test_loaded_once(cmd, server):
    for _ in range(3):
        cmd.ok("show", "alice")
    assert calls(server, "function|load") == 1


def test_older_ones_are_replaced(cmd, server):
    server.cli("FUNCTION", "LOAD", with_version(NUMBER - 1))
    cmd.ok("show", "alice")
    assert version(server) == VERSION


def test_the_same_number_with_another_text_is_replaced(cmd, server):
    server.cli("FUNCTION", "LOAD", with_version(NUMBER, "f" * 16))
    cmd.ok("show", "alice")
    assert version(server) == VERSION


def test_those_of_a_former_release_are_replaced(cmd, server):
    server.cli("FUNCTION", "LOAD", "#!lua name=smtpusers\nredis.register_"
               "function('smtpusers_version', function() return 99 end)")
    cmd.ok("show", "alice")
    assert version(server) == VERSION


def test_those_without_a_version_are_replaced(cmd, server):
    server.cli("FUNCTION", "LOAD", "#!lua name=smtpusers\nredis."
               "register_function('smtpusers_usage', function() return 1 end)")
    cmd.ok("show", "alice")
    assert version(server) == VERSION


@pytest.mark.parametrize("reply", ["nil", "'x'", "{}", "1.5", "true"])
def test_those_whose_version_is_none_are_replaced(cmd, server, reply):
    server.cli("FUNCTION", "LOAD", "#!lua name=smtpusers\nredis.register_"
               "function('smtpusers_version', function() return %s end)" %
               reply)
    cmd.ok("show", "alice")
    assert version(server) == VERSION


@pytest.mark.parametrize("reply", ["nil", "'{'", "1", "{}"])
def test_newer_ones_that_reply_otherwise(cmd, server, reply):
    library = with_version(NUMBER + 1).replace(
        "function api.user_get(keys, args)",
        "function api.user_get(keys, args)\n\tdo return %s end" % reply)
    server.cli("FUNCTION", "LOAD", library)
    assert "replied no JSON: Redis has" in cmd.fails(EX_UNAVAILABLE, "show", "alice")


def test_newer_ones_are_used(cmd, server):
    server.cli("FUNCTION", "LOAD", with_version(NUMBER + 1))
    cmd.ok("show", "alice")
    cmd.ok("block", "alice")
    assert version(server) == [NUMBER + 1, HASH]
    assert cmd.fields("alice")["status"] == "blocked"


def test_what_reads_without_them_does_not_load_them(cmd, server):
    cmd.ok("list", "--names", "--match", "a*")
    cmd.ok("account", "list", "--names")
    cmd.ok("log", "alice")
    assert calls(server, "function|load") == 0


@pytest.mark.parametrize("words", NEEDING)
def test_redis_without_functions(tmp_path, words):
    """As Redis 6 answers."""
    extra = ("--rename-command", "FCALL", "", "--rename-command",
             "FUNCTION", "")
    with RedisServer(tmp_path, extra=extra) as server:
        cmd = Smtpusers(server, tmp_path)
        server.cli("HSET", cmd.key("alice"), "status", "allowed")
        before = cmd.snapshot()
        told = cmd.fails(EX_UNAVAILABLE, *words)
        assert told == ("smtpusers: this Redis has no functions: it must be "
                        "Redis 7, Valkey 8, or newer\n")
        assert cmd.snapshot() == before
        assert cmd.ok("list", "--names").stdout == "alice\n"


@pytest.fixture
def clerk(cmd, server, tmp_path):
    """The command as a Redis user who may not load functions."""
    server.cli("ACL", "SETUSER", "clerk", "on", ">pw", "~*", "+@all",
               "-function|load")
    (tmp_path / "pw").write_text("pw\n")
    directory = tmp_path / "clerk"
    directory.mkdir()
    return Smtpusers(server, directory, redis_user="clerk",
                     redis_password_file=str(tmp_path / "pw"))


@pytest.mark.parametrize("old", [None, NUMBER - 1])
def test_a_user_who_may_not_load_them(cmd, clerk, server, old):
    if old:
        server.cli("FUNCTION", "LOAD", with_version(old))
    before = cmd.snapshot()
    for words in NEEDING:
        told = clerk.fails(EX_NOPERM, *words)
        assert "NOPERM" in told
        assert re.search("\nThe functions are missing or old; .*"
                         "smtpusers.lua as a user who may\n$", told)
    assert cmd.snapshot() == before
    server.cli("FUNCTION", "FLUSH")
    server.cli("FUNCTION", "LOAD", LIBRARY)
    for words in NEEDING:
        clerk.run(*words)
    assert calls(server, "function|load") == (2 if old else 1)


def test_valkey(tmp_path):
    with RedisServer(tmp_path, program="valkey-server") as server:
        cmd = Smtpusers(server, tmp_path)
        cmd.ok("add", "alice", "--no-password")
        assert version(server) == VERSION


def test_redis_7(tmp_path):
    with RedisServer(tmp_path, program=REDIS7) as server:
        cmd = Smtpusers(server, tmp_path)
        cmd.ok("add", "alice", "--no-password", "--domain", "a.example")
        assert version(server) == VERSION
        assert cmd.json("show", "alice")["domains"] == ["a.example"]
        cmd.fails(EX_DATAERR, "set", "alice", "mode", "x")


# What they refuse, in the command's words and exit codes

def test_codes(cmd):
    cmd.ok("add", "bob", "--no-password")
    cmd.ok("ipauth", "set", "bob", "192.0.2.1")
    for code, words, told in (
            (EX_DATAERR, "set alice mode x", "x: not one of default, all, any"),
            (EX_DATAERR, "domain add alice x", "x: not a domain: there is "
             "no dot in it"),
            (EX_CANTCREAT, "ipauth set alice 192.0.2.1",
             "192.0.2.1: another user has this address"),
            (EX_NOUSER, "set carol mode all", "carol: no such user"),
            (EX_NOUSER, "account set acme plan pro",
             "acme: no such account")):
        assert cmd.fails(code, *words.split()) == "smtpusers: %s\n" % told


def test_words_about_strange_values_stay_harmless(cmd):
    told = cmd.fails(EX_DATAERR, "domain", "add", "alice",
                     b"\x1b[2J\\\n\xff.example")
    assert told.startswith("smtpusers: \\x1b[2J\\\\\\n\\xff.example: not")
    assert told[:-1].isprintable()
