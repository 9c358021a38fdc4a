# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What relays write of themselves, and what smtpusers(8) makes of it."""

import contextlib
import json
import os
import re
import signal
import time

import jsonschema
import pytest

from cli import Smtpusers, log_in_as
from linedriver import FilterDriver, TableDriver
from places import PATIENT, SOURCE, configuration, workdir
from redisserver import RedisServer, wait_until
from session import Session
from test_reload import reload
from topologies import Cluster, Sentinels

PASSWORD = "Open-Sesame1"
OK = "235 2.0.0 Authentication succeeded"
# What is written comes every ten seconds, from a busy machine.
SOON = 90


class State:
    """What one relay says of itself."""

    def __init__(self, redis, name, prefix="smtp:"):
        self.redis, self.name, self.prefix = redis, name, prefix

    def key(self, program):
        return "%srelay:{%s}:%s" % (self.prefix, self.name, program)

    def fields(self, program="filter"):
        flat = self.redis.cli("HGETALL", self.key(program))
        return dict(zip(flat[::2], flat[1::2]))

    def numbers(self, program="filter"):
        return {name: int(value) for name, value in
                self.fields(program).items() if name != "version"}

    def comes_to(self, program="filter", **wanted):
        """Waits until these fields have these values."""
        def look():
            found = self.numbers(program)
            return all(found.get(name) == value
                       for name, value in wanted.items())
        try:
            wait_until(look, SOON, str(wanted))
        except AssertionError as error:
            raise AssertionError(self.numbers(program)) from error


@pytest.fixture
def mx1(redis):
    return State(redis, "mx1")


@pytest.fixture
def status(redis):
    return Smtpusers(redis, workdir("status"))


def test_what_a_client_saw_is_counted(new_relay, users, mx1, redis):
    relay = new_relay(relay_name="mx1", socket_filter=True, local="trust")
    users.add("alice", PASSWORD, ips=["127.0.0.1"])
    users.add("dora", PASSWORD, status="sandboxed", quota="1")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message().startswith("250")
        assert session.message().startswith("250")
        assert session.message(sender="a@bank.test").startswith("550 5.7.1")
        mx1.comes_to(sessions=1)
    with Session(relay) as session:
        assert session.plain("alice", "wrong").startswith("535")
        assert session.plain("nobody", "wrong").startswith("535")
        assert session.mail().startswith("530")
    with Session(relay, source="127.0.0.9") as session:
        assert session.plain("alice", PASSWORD).startswith("535 5.7.8")
    with Session(relay) as session:
        assert session.plain("dora", PASSWORD) == OK
        assert session.message().startswith("250")
    redis.cli("HSET", "smtp:user:{alice}", "max_recipients", 1, "rate", "1/1h")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message().startswith("250")
        assert session.mail().startswith("451 4.7.1")
    mx1.comes_to(
        sessions=0, logins_accepted=3, logins_failed=2,
        logins_refused=1, messages_accepted=3, messages_sandboxed=1,
        messages_refused=2, messages_deferred=1, messages_trusted=0,
        messages_failed=0, temporary_failures=0, recipients_refused=0,
        writes_lost=0, writes_waiting=0, limits_reached=1, alarms=0)


def test_what_the_table_answers_is_counted(redis, users, mx1):
    conf = configuration(redis=redis.url, relay_name="mx1")
    users.add("alice", PASSWORD)
    with TableDriver(workdir("table"), conf) as table:
        for key in ("alice", "nobody", "alice"):
            table.ask("lookup", "credentials", key)
        redis.cli("SET", "smtp:user:{bad}", "x")
        assert table.ask("lookup", "credentials", "bad")[0].startswith("error")
        mx1.comes_to("table", lookups_found=2, lookups_not_found=1,
                     lookups_failed=1)
        found = mx1.numbers("table")
    assert found["redis_requests"] >= 4
    assert 0 < found["redis_median"] <= found["redis_p99"]
    assert found["redis_p99"] <= found["redis_worst"] <= found["redis_time"]
    assert found["pid"] == table.process.pid
    assert found["started"] <= found["seen"]
    assert found["redis_timeout"] == PATIENT["redis_timeout"]
    assert re.fullmatch(r"[0-9.]+", mx1.fields("table")["version"])


def test_the_hash_is_gone_when_nobody_writes_it(redis, mx1):
    conf = configuration(redis=redis.url, relay_name="mx1")
    redis.cli("HSET", mx1.key("table"), "message:refused:old", "7")
    with TableDriver(workdir("table"), conf):
        wait_until(lambda: "seen" in mx1.fields("table"), SOON, "the table")
        assert "message:refused:old" not in mx1.fields("table")
        assert 0 < redis.cli("TTL", mx1.key("table")) <= 35
    wait_until(lambda: not mx1.fields("table"), SOON, "the end")
    assert redis.cli("ZRANGE", "smtp:relays", 0, -1) == ["table:mx1"]


def test_a_host_without_a_fit_name(redis):
    """Whatever the host is called, the key is of one slot and one line."""
    with open("/proc/sys/kernel/hostname", encoding="ascii") as name:
        wanted = re.sub(r"[^A-Za-z0-9._-]", "_", name.read().strip())
    with TableDriver(workdir("table"), configuration(redis=redis.url)):
        wait_until(lambda: redis.cli("EXISTS", "smtp:relay:{%s}:table" %
                                     wanted[:64]), SOON, wanted)


def test_an_outage_of_redis_is_no_trouble(redis, users, mx1):
    conf = configuration(redis=redis.url, relay_name="mx1",
                         redis_timeout=1000)
    users.add("alice", PASSWORD)
    with TableDriver(workdir("table"), conf) as table:
        wait_until(lambda: mx1.fields("table"), SOON, "the table")
        redis.kill()
        for _ in range(3):
            assert "error" in table.ask("lookup", "credentials", "alice")[0]
        redis.start()
        wait_until(lambda: "not-found" in table.ask(
            "lookup", "credentials", "alice")[0], SOON, "redis")
        wait_until(lambda: mx1.fields("table"), SOON, "the table again")
        assert mx1.numbers("table")["lookups_failed"] >= 3


def test_it_is_written_where_the_configuration_says(new_relay, redis):
    """Also by a filter that has read it again, and a table."""
    relay = new_relay(relay_name="mx1")
    with RedisServer(workdir("other")) as other:
        reload(relay, relay_name="mx2", redis=other.url)
        for server, name, program in ((other, "mx2", "filter"),
                                      (redis, "mx1", "table")):
            wait_until(lambda s=State(server, name), p=program: s.fields(p),
                       SOON, name)
        relay.ctl("update", "table", "users")
        wait_until(lambda: State(other, "mx2").fields("table"), SOON, "table")
        assert other.cli("ZCARD", "smtp:relays") == 2
        # Those that are left are asked nothing before they are closed.
        relay.stop()


@pytest.mark.parametrize("topology", [Cluster, Sentinels])
def test_several_servers(topology):
    with topology() as servers:
        conf = configuration(redis=servers.url, relay_name="mx1")
        directory = workdir("status")
        for server in servers.servers:
            log_in_as(server, "monitor", directory)
        cmd = Smtpusers(servers, directory, redis_user="monitor",
                        redis_password_file=str(directory / "monitor.pw"))
        with TableDriver(workdir("table"), conf):
            wait_until(lambda: cmd.run("status").returncode == 0, SOON, "ok")
            assert "smtpusers_relay_up{" in cmd.ok("metrics").stdout


def test_what_the_write_queue_drops_is_counted(redis, users, mx1, status):
    """An entry that Redis refuses for good."""
    conf = configuration(redis=redis.url, relay_name="mx1", spf="off")
    users.add("alice", PASSWORD)
    redis.cli("SET", "smtp:user:{alice}:failed", "no stream")
    with FilterDriver(workdir("filter"), conf) as driver:
        driver.connect("%016x" % 1, "192.0.2.1:40000")
        driver.report("link-auth", "%016x" % 1, "fail", "alice")
        mx1.comes_to(writes_lost=1, writes_lost_minute=1, logins_failed=1,
                     writes_waiting=0)
        said = status.run("status")
    assert said.returncode == 1
    assert "mx1: filter: 1 entries of logs or counters lost" in said.stdout


# The command

def shown(status, code, *words):
    said = status.run("status", *words)
    assert said.returncode == code, said.stdout + said.stderr
    assert said.stderr == ""
    return said.stdout


def validated(text):
    value = json.loads(text)
    jsonschema.validate(value, json.loads(
        (SOURCE / "regress/e2e/schemas/status.json").read_text()))
    return value


def test_two_relays_and_one_dies(new_relay, users, redis, status):
    users.add("alice", PASSWORD)
    relays = {name: new_relay(relay_name=name) for name in ("mx1", "mx2")}
    for relay in relays.values():
        with Session(relay) as session:
            assert session.plain("alice", PASSWORD) == OK
            assert session.message().startswith("250")
    states = [State(redis, name) for name in relays]
    for state in states:
        state.comes_to(messages_accepted=1, logins_accepted=1)
        wait_until(lambda s=state: s.fields("table"), SOON, "the table")
    lines = shown(status, 0).splitlines()
    assert lines[0] == "OK: 2 relays"
    assert lines[1].split()[:3] == ["RELAY", "VERSION", "UP"]
    assert [line.split()[0] for line in lines[2:]] == ["mx1", "mx2"]
    assert all(line.endswith(" ok") for line in lines[2:])
    value = validated(shown(status, 0, "--json"))
    assert value["status"] == "ok" and value["problems"] == []
    assert value["relays"][1]["filter"]["messages_accepted"] == 1

    # All of it, as a host that loses its power.
    doomed = relays["mx2"]
    for pid in doomed.descendants() | {doomed.process.pid}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    doomed.process.wait()
    doomed.process = None
    wait_until(lambda: not states[1].fields(), SOON, "mx2 to be gone")
    wait_until(lambda: not states[1].fields("table"), SOON, "its table")
    text = shown(status, 2)
    assert re.match(r"CRITICAL: 2 relays; mx2: filter: not heard of for [0-9]+"
                    r" (s|min); mx2: table: not heard of for", text)
    value = validated(shown(status, 2, "--json"))
    assert [relay["status"] for relay in value["relays"]] == ["ok", "critical"]
    assert set(value["relays"][1]["filter"]) == {"age", "version"}

    assert status.ok("status", "--forget", "mx2").stdout == ""
    assert shown(status, 0).startswith("OK: 1 relay\n")
    assert "no such relay" in status.run("status", "--forget", "mx2").stderr
    assert status.run("status", "--forget", "mx2").returncode == 66


def test_a_slow_redis_is_told(redis, users, status, mx1):
    conf = configuration(redis=redis.url, relay_name="mx1",
                         redis_timeout=4000)
    users.add("alice", PASSWORD)
    with TableDriver(workdir("table"), conf) as table:
        def slow():
            redis.cli("CLIENT", "PAUSE", 1500, "ALL")
            table.ask("lookup", "credentials", "alice")
            return mx1.numbers("table").get("redis_median", 0) > 1000000
        wait_until(slow, SOON, "a slow redis")
        text = shown(status, 1)
    assert re.match(r"WARNING: 1 relay; mx1: table: Redis is slow: 50 % of "
                    r"replies within [0-9]+ ms, of 4000 that", text), text


def test_what_cannot_be_decided_is_told(redis, users, status, mx1):
    users.add("alice", PASSWORD)
    redis.cli("SET", "smtp:user:{alice}", "no hash")
    conf = configuration(redis=redis.url, relay_name="mx1")
    with TableDriver(workdir("table"), conf) as table:
        table.ask("lookup", "credentials", "alice")
        mx1.comes_to("table", lookups_failed=1)
        text = shown(status, 1)
    assert "mx1: table: 1 lookups without an answer" in text


def test_no_relay_is_no_answer(status):
    assert shown(status, 3) == "UNKNOWN: no relay has been heard of\n"
    assert validated(shown(status, 3, "--json"))["status"] == "unknown"


def test_no_redis_is_critical(redis, status):
    redis.kill()
    assert shown(status, 2).startswith("CRITICAL: cannot connect to Redis")
    assert validated(shown(status, 2, "--json"))["relays"] == []


def test_what_a_stranger_wrote(redis, status):
    """What relays say is trusted no more than what users do."""
    now = int(time.time())
    redis.cli("ZADD", "smtp:relays", now, "filter:a", now, "table:a",
              "inf", "filter:b", "-inf", "table:c", now, "\x1b[2J", now,
              "filter:x y", now, "filter:" + "x" * 65, 1e300, "filter:d")
    redis.cli("SET", "smtp:relay:{a}:filter", "x")
    redis.cli("HSET", "smtp:relay:{a}:table", "version", "\x1b[2J",
              "sessions", "many", "redis_p99", "9" * 400, "pid", "-1")
    redis.cli("HSET", "smtp:relay:{b}:filter", "version", b"\xff" * 10,
              "started", "999999999999999999", "seen", "1e9",
              "messages_accepted_minute", "999999999999999999")
    said = status.run("status")
    assert said.returncode == 2 and said.stderr == ""
    assert "\x1b" not in said.stdout
    assert "3 of what is listed are no relays" in said.stdout
    assert "a: table: what it writes of itself cannot be read" in said.stdout
    assert "a: filter: what it writes of itself cannot" in said.stdout
    assert "c: table: not heard of for " in said.stdout
    validated(status.run("status", "--json").stdout)
    redis.cli("SET", "smtp:relays", "no set")
    assert shown(status, 3).startswith("UNKNOWN: ")


def test_many_relays_are_not_all_read(redis, status):
    now = int(time.time())
    redis.cli("ZADD", "smtp:relays", *(word for n in range(5000)
              for word in (now - n, "filter:mx%d" % n)))
    value = validated(status.run("status", "--json").stdout)
    assert len(value["relays"]) == 1000
    assert "mx0" in {relay["name"] for relay in value["relays"]}


def test_who_was_not_heard_of_for_long_is_forgotten(redis):
    redis.cli("ZADD", "smtp:relays", int(time.time()) - 31 * 86400,
              "filter:old", int(time.time()) - 29 * 86400, "filter:late")
    conf = configuration(redis=redis.url, relay_name="mx1")
    with TableDriver(workdir("table"), conf):
        wait_until(lambda: redis.cli("ZRANGE", "smtp:relays", 0, -1) ==
                   ["filter:late", "table:mx1"], SOON, "the old one to go")


def test_versions_differ(redis, status):
    now = int(time.time())
    redis.cli("ZADD", "smtp:relays", now, "table:a", now, "table:b")
    for name, version in (("a", "1.0"), ("b", "1.1")):
        redis.cli("HSET", "smtp:relay:{%s}:table" % name, "version", version)
    assert "the versions differ: 1.0, 1.1" in status.run("status").stdout


def test_who_may_only_look(redis, users, mx1):
    """The user of Redis that setup prints for this may do no more."""
    conf = configuration(redis=redis.url, relay_name="mx1")
    with TableDriver(workdir("table"), conf):
        wait_until(lambda: mx1.fields("table"), SOON, "the table")
        monitor = log_in_as(redis, "monitor", workdir("monitor"))
        assert shown(monitor, 0).startswith("OK: 1 relay\n")
    users.add("alice", PASSWORD)
    assert monitor.run("show", "alice").returncode == 77
    assert monitor.run("status", "--forget", "mx1").returncode == 77


def test_what_it_costs_redis(redis):
    """Three commands in ten seconds, whoever sends mail meanwhile."""
    conf = configuration(redis=redis.url, relay_name="mx1")
    with TableDriver(workdir("table"), conf):
        wait_until(lambda: redis.cli("EXISTS", "smtp:relays"), SOON, "relays")
        with redis.connect(SOON) as monitor:
            monitor.command("MONITOR")
            seen = []
            while len(seen) < 6:
                seen.append(re.findall(r'"([^"]*)"', monitor.read())[0])
    assert seen == ["HSET", "EXPIRE", "ZADD"] * 2
