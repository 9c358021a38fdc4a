# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What is wrong with a server stands in the log, once a state."""

import socket

import pytest

from fakeredis import FakeRedis
from linedriver import FilterDriver, TableDriver
from places import configuration, workdir
from redisserver import RedisServer, wait_until
from reports import log
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
def test_a_server_that_takes_nothing(new_relay, users, redis, state, begin,
                                     end):
    # One of its own: there are so many lines a minute, and no more.
    relay = new_relay()
    users.add("alice", PASSWORD, quota="100")
    replies = []

    def send():
        replies.append(session.message())
        return replies[-1]

    with Session(relay) as session:
        assert session.plain("alice", PASSWORD).startswith("235")
        assert send().startswith("250")
        redis.cli("CONFIG", "SET", *begin)
        try:
            for _ in range(4):
                assert send().startswith("451")
        finally:
            redis.cli("CONFIG", "SET", *end)
        wait_until(lambda: send().startswith("250"), 20, "mail to go again")
    # What could not be written meanwhile comes late, and not to another test.
    entries = log(redis, "alice", len(replies) + 1)
    assert [entry.get("reply") for entry in entries if entry[
        "result"] == "refused"] == [reply for reply in replies
                                    if reply.startswith("451")]
    lines = [line for line in relay.log().splitlines()
             if "redis: %s: " % redis.url in line and state in line]
    begun = [line for line in lines if "no longer" not in line]
    assert [line for line in begun if "FCALL smtpusers_" in line]
    assert len(lines) <= 2 * len({line.split(state)[0] for line in begun})


def commands(connection):
    """The words of each command that comes."""
    with connection.makefile("rb") as file:
        while line := file.readline():
            words = []
            for _ in range(int(line[1:])):
                words.append(file.read(int(file.readline()[1:]) + 2)[:-2])
            yield words


NO_LUA = b"ERR Could not find scripting engine 'LUA'"
WITHOUT_LUA = {
    b"PING": b"+PONG\r\n", b"MULTI": b"+OK\r\n", b"FUNCTION": b"+QUEUED\r\n",
    b"INFO": b"$13\r\naof_enabled:1\r\n",
    b"FCALL": b"-ERR Function not found\r\n",
    b"EXEC": b"*2\r\n-ERR Library not found\r\n-%s\r\n" % NO_LUA}


def without_lua(_, connection):
    """A server that was built without the language of the functions."""
    for words in commands(connection):
        connection.sendall(WITHOUT_LUA.get(words[0], b"*-1\r\n"))


def test_functions_that_cannot_be_loaded():
    directory = workdir("filter")
    with FakeRedis(directory, without_lua) as fake:
        with FilterDriver(directory, configuration(redis=fake.url)) as driver:
            said = "the functions cannot be loaded: " + NO_LUA.decode()
            wait_until(lambda: said in driver.stderr(), 20, "it to be said")
            for connection in fake.open:
                connection.shutdown(socket.SHUT_RDWR)
            wait_until(lambda: fake.connections > 1, 20, "another connection")
            driver.connect("%016x" % 1)
            assert driver.ask("mail-from", "%016x" % 1,
                              "alice@example.org").startswith("reject|")
            assert driver.stderr().count(said) == 1
