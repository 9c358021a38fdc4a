# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What is wrong with a server stands in the log, once a state."""

import pytest

from linedriver import TableDriver
from places import configuration, workdir
from redisserver import RedisServer, wait_until
from session import Session
from users import Users

PASSWORD = "Open-Sesame1"
NO_FILE = "there is no append-only file"
UNSEEN = "INFO: NOPERM"


def lookup(table, name="alice"):
    return table.lookup("credentials", name)


def reconnect(server, table):
    """Cut the connection, and wait for the next."""
    server.cli("CLIENT", "KILL", "TYPE", "normal")
    wait_until(lambda: lookup(table).startswith("found|"), 20,
               "the table to be back")


def started(extra=()):
    return RedisServer(workdir("server"), extra=extra)


def test_what_is_not_kept(users):
    with started() as server:
        Users(server).add("alice", PASSWORD)
        conf = configuration(redis=server.url)
        with TableDriver(workdir("table"), conf) as table:
            for _ in range(3):
                reconnect(server, table)
            assert table.stderr().count(NO_FILE) == 1
            server.cli("CONFIG", "SET", "appendonly", "yes")
            server.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            reconnect(server, table)
            assert "no longer: " + NO_FILE in table.stderr()
            assert table.stderr().count("maxmemory-policy is allkeys-lru") == 1
            server.cli("CONFIG", "SET", "appendonly", "no")
            reconnect(server, table)
            assert table.stderr().count(": " + NO_FILE) == 3


def test_a_sound_server(users):
    with started(("--appendonly", "yes")) as server:
        Users(server).add("alice", PASSWORD)
        conf = configuration(redis=server.url)
        with TableDriver(workdir("table"), conf) as table:
            reconnect(server, table)
            lines = table.stderr().splitlines()
    # Of what it gave up, the connection that was cut, and that it is back.
    assert [line for line in lines if not line.endswith(
        ("reading files", "connection closed", "connected"))] == []


def test_info_is_not_permitted(users):
    with started() as server:
        Users(server).add("alice", PASSWORD)
        server.cli("ACL", "SETUSER", "default", "-info")
        conf = configuration(redis=server.url)
        with TableDriver(workdir("table"), conf) as table:
            for _ in range(3):
                reconnect(server, table)
            assert table.stderr().count(UNSEEN) == 1
            assert table.stderr().count("cannot be seen") == 1


def test_rights_that_come_and_go(users):
    with started(("--appendonly", "yes")) as server:
        Users(server).add("alice", PASSWORD)
        conf = configuration(redis=server.url)
        with TableDriver(workdir("table"), conf) as table:
            for count in (1, 2):
                server.cli("ACL", "SETUSER", "default", "-hmget")
                for _ in range(5):
                    assert lookup(table).startswith("error")
                server.cli("ACL", "SETUSER", "default", "+hmget")
                for _ in range(5):
                    assert lookup(table).startswith("found|")
                text = table.stderr()
                assert text.count("HMGET smtp:user:{alice}: NOPERM") == count
                assert text.count("HMGET smtp:user:{alice}: no longer "
                                  "NOPERM") == count


@pytest.mark.parametrize("state, begin, end", [
    ("OOM", ("maxmemory", "1"), ("maxmemory", "0")),
    ("NOREPLICAS", ("min-replicas-to-write", "1"),
     ("min-replicas-to-write", "0"))])
def test_a_server_that_takes_nothing(relay, users, redis, state, begin, end):
    users.add("alice", PASSWORD, quota="100")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD).startswith("235")
        assert session.message().startswith("250")
        redis.cli("CONFIG", "SET", *begin)
        try:
            for _ in range(4):
                assert session.message().startswith("451")
        finally:
            redis.cli("CONFIG", "SET", *end)
        wait_until(lambda: session.message().startswith("250"), 20,
                   "mail to go again")
    lines = [line for line in relay.log().splitlines()
             if "redis: %s: " % redis.url in line and state in line]
    begun = [line for line in lines if "no longer" not in line]
    assert begun and "FCALL smtpusers_" in begun[0]
    assert len(lines) <= 2 * len({line.split(state)[0] for line in begun})
