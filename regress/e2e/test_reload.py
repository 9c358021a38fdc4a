# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""SIGHUP: the filter reads its configuration again, and mail goes on."""

import os
import re
import signal
import subprocess

import pytest

from linedriver import FilterDriver
from nameserver import OddServer, spf
from places import SOURCE, configuration, workdir
from quotas import Functions
from redisserver import RedisServer, wait_until
from session import Session, simple
from test_spf_workers import wait_workers, workers
from topologies import Cluster, Sentinels
from users import Users

PASSWORD = "Open-Sesame1"
OK = "235 2.0.0 Authentication succeeded"
AGAIN = "the configuration has been read again"
STAYS = "the configuration in force stays as it was"


def count(relay, words):
    return relay.log().count(words)


def reload(relay, says=AGAIN, **keys):
    """Another configuration, where keys are given, and SIGHUP; once the
    filter has said what has become of it."""
    if keys:
        text = relay.conf_path.read_text()
        relay.conf_path.write_text(text + configuration(**keys))
    before = count(relay, says)
    os.kill(relay.pid_of("filter-smtpusers"), signal.SIGHUP)
    wait_until(lambda: count(relay, says) > before, 20, says)


def clients(server):
    """The ids of those that the server knows."""
    return set(re.findall(r"\bid=(\d+) .*cmd=(?!client)",
                          server.cli("CLIENT", "LIST")))


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def test_what_is_read_again_counts_in_open_sessions(new_relay, users):
    relay = new_relay()
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert "https://reports.example.net/?id=" in session.mail("a@bank.test")
        reload(relay, report_url="https://new.example/r")
        assert "https://new.example/r?id=" in session.mail("a@bank.test")
        reload(relay, enforce=["header"])
        assert session.mail("a@bank.test").startswith("250")
        assert session.rcpt().startswith("250")
        assert "[ACL]" in session.data(simple("x", "a@bank.test"))


def test_a_message_under_way_is_judged_by_what_is_in_force(new_relay, users):
    relay = new_relay(enforce=["envelope"])
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.mail().startswith("250")
        assert session.rcpt().startswith("250")
        assert session.command("DATA").startswith("354")
        reload(relay, enforce=["envelope", "header"])
        assert "[ACL]" in session.finish(simple("x", "a@bank.test"))


def test_an_error_leaves_what_is_in_force(new_relay, users):
    relay = new_relay()
    users.add("alice", PASSWORD)
    text = relay.conf_path.read_text()
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        relay.conf_path.write_text("\nredsi = 1\nreport_url = 'https://b/'\n")
        reload(relay, STAYS)
        assert "%s:2: " % relay.conf_path in relay.log()
        assert "https://reports.example.net/" in session.mail("a@bank.test")
        assert session.message().startswith("250")
        relay.conf_path.unlink()
        reload(relay, STAYS)
        assert session.message().startswith("250")
        relay.conf_path.write_text(text)
        reload(relay)
        assert session.message().startswith("250")


def test_the_connection_stays_where_its_keys_do(new_relay, users, redis):
    relay = new_relay(quota_period="1d")
    filter_ = relay.pid_of("filter-smtpusers")
    asking, before = wait_workers(filter_, 4), clients(redis)
    held = descriptors(filter_)
    for period in ("2d", "3d", "4d", "5d"):
        reload(relay, quota_period=period)
    assert clients(redis) == before
    assert workers(filter_) == asking
    assert descriptors(filter_) == held


@pytest.fixture
def other(users):
    """Another server, with the same users."""
    with RedisServer(workdir("redis")) as server:
        yield server


def test_another_redis_takes_over_between_mail_and_its_end(
        new_relay, users, other, redis):
    relay = new_relay(redis_timeout=1000, spf_timeout=500)
    users.add("alice", PASSWORD, quota="10")
    moved = Users(other)
    moved.add("alice", PASSWORD, quota="10")
    moved.set("alice", password=redis.cli("HGET", users.key("alice"),
                                          "password"))
    filter_ = relay.pid_of("filter-smtpusers")
    held = descriptors(filter_)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message("first").startswith("250")
        assert session.mail().startswith("250")
        assert session.rcpt().startswith("250")
        assert session.command("DATA").startswith("354")
        reload(relay, redis=other.url)
        assert session.finish(simple("second")).startswith("250")
        assert session.message("third").startswith("250")
    assert Functions(other).used() == {"quota": 2}
    assert Functions(redis).used() == {"quota": 1}
    wait_until(lambda: descriptors(filter_) == held, 30,
               "the old connection to be closed")


@pytest.mark.parametrize("ailment", ["nowhere", "stopped", "password"])
def test_a_redis_that_gives_no_answer_leaves_the_old(new_relay, users, other,
                                                     ailment):
    relay = new_relay(redis_timeout=500, spf_timeout=500)
    users.add("alice", PASSWORD)
    filter_ = relay.pid_of("filter-smtpusers")
    held = descriptors(filter_)
    keys = {"redis": other.url}
    if ailment == "nowhere":
        keys = {"redis": "unix:/nonexistent/redis"}
    elif ailment == "stopped":
        other.pause()
    else:
        other.cli("CONFIG", "SET", "requirepass", "secret-word")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        reload(relay, STAYS, report_url="https://new.example/r", **keys)
        assert session.message().startswith("250")
        assert "https://reports.example.net/" in session.mail("a@bank.test")
    other.resume()
    wait_until(lambda: descriptors(filter_) == held, 60,
               "what was tried to be given up")


def test_spf_is_answered_by_who_was_asked(new_relay, users):
    with OddServer() as names:
        names.tell("slow.test", spf())
        names.tell("other.test", spf())
        relay = new_relay(spf="published", spf_resolver=names.address,
                          spf_timeout=5000, spf_workers=2)
        users.account("acme", plan="pro")
        users.add("alice", PASSWORD, account="acme", mode="any")
        filter_ = relay.pid_of("filter-smtpusers")
        asking = set(wait_workers(filter_, 2))
        with Session(relay) as session, Session(relay) as next_:
            for one in (session, next_):
                assert one.plain("alice", PASSWORD) == OK
            with names.hold("slow.test"):
                assert session.mail("a@slow.test").startswith("250")
                session.rcpt()
                session.command("DATA")
                session.send(simple("x", "a@slow.test") + ".\r\n")
                names.wait_asked("slow.test")
                reload(relay, spf_timeout=6000, spf_workers=3)
                wait_until(lambda: len(asking & set(workers(filter_))) == 1,
                           20, "the worker that is idle to end")
            assert session.read().startswith("250")
            assert next_.message("y", "a@other.test").startswith("250")
        wait_until(lambda: not asking & set(workers(filter_)), 20,
                   "the workers of before to end")
        wait_workers(filter_, 3)
        reload(relay, spf_workers=1)
        wait_workers(filter_, 1)


def test_spf_on_and_off(new_relay, users):
    with OddServer() as names:
        relay = new_relay(spf="off", spf_resolver=names.address,
                          spf_timeout=5000, spf_workers=1)
        users.account("acme", plan="pro")
        users.add("alice", PASSWORD, account="acme", mode="any")
        with Session(relay) as session:
            assert session.plain("alice", PASSWORD) == OK
            assert session.message("v", "a@none.test").startswith("250")
            reload(relay, spf="published")
            assert "[ACL]" in session.message("w", "a@none.test")
            reload(relay, spf="off")
            assert session.message("x", "a@none.test").startswith("250")
            names.tell("none.test", spf())
            reload(relay, spf="published")
            assert session.message("y", "a@none.test").startswith("250")


def test_the_manuals_pattern_finds_the_filter(new_relay):
    text = (SOURCE / "filter" / "filter-smtpusers.8").read_text()
    pattern, = re.findall(r"^\.Dl # pkill -HUP (\S+)$", text, re.MULTILINE)
    relay = new_relay()
    found = subprocess.run(["pgrep", pattern], capture_output=True, text=True,
                           check=True).stdout.split()
    mine = {str(pid) for pid in relay.descendants()} & set(found)
    filter_ = relay.pid_of("filter-smtpusers")
    assert str(filter_) in mine
    asking = wait_workers(filter_, 4)
    subprocess.run(["kill", "-HUP", *mine], check=True)
    wait_until(lambda: AGAIN in relay.log(), 20, AGAIN)
    assert workers(filter_) == asking


def test_signals_in_a_row(redis, other, users):
    """While mail flows; the last configuration is the one in force."""
    users.add("alice", PASSWORD)
    moved = Users(other)
    moved.add("alice", PASSWORD)
    moved.set("alice", password=redis.cli("HGET", users.key("alice"),
                                          "password"))
    urls = [redis.url, other.url]
    keys = {"spf": "off", "redis_timeout": 2000, "spf_timeout": 500}
    # Those of a relay that other tests share stay.
    before = clients(redis)
    directory = workdir("filter")
    with FilterDriver(directory, configuration(redis=redis.url, **keys)) as \
            driver:
        path = directory / "smtpusers.conf"
        driver.connect("0000000000000001")
        driver.authenticate("0000000000000001", "alice")
        for number in range(60):
            path.write_text(configuration(
                redis=urls[number % 2], report_url="https://%d.example/" %
                number, **keys))
            os.kill(driver.process.pid, signal.SIGHUP)
            driver.report("tx-reset", "0000000000000001", "")
            assert driver.ask("mail-from", "0000000000000001",
                              "alice@example.org") == "proceed"
        wait_until(lambda: "https://59.example/" in driver.ask(
            "mail-from", "0000000000000001", "a@bank.test"), 20,
            "the last one")
        wait_until(lambda: clients(redis) <= before, 60,
                   "the other connections to end")
        assert len(clients(other)) == 1


# Many servers

@pytest.fixture(params=[Sentinels, Cluster])
def several(request, users):
    """With the user that the single server has."""
    with request.param() as servers:
        users.add("alice", PASSWORD, quota="100")
        moved = Users(servers)
        moved.add("alice", PASSWORD, quota="100")
        moved.set("alice", password=users.redis.cli(
            "HGET", users.key("alice"), "password"))
        yield servers


def flows(session):
    return session.message().startswith("250")


def test_many_servers_take_over_and_leave(new_relay, several, redis):
    relay = new_relay(redis_timeout=5000, spf_timeout=500)
    filter_ = relay.pid_of("filter-smtpusers")
    held = descriptors(filter_)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert flows(session)
        reload(relay, redis=several.url, redis_replicas=1)
        wait_until(lambda: flows(session), 20, "mail by many servers")
        many = [clients(server) for server in several.servers]
        reload(relay, quota_period="2d")
        assert [clients(server) for server in several.servers] == many
        assert flows(session)
        reload(relay, redis=redis.url, redis_replicas=0)
        assert flows(session)
    assert Functions(several).used() == {"quota": 2}
    assert Functions(redis).used() == {"quota": 2}
    wait_until(lambda: descriptors(filter_) == held, 60,
               "the connections to many servers to be closed")


def is_taken(relay):
    """Whether what is there now has been put in force, by another signal."""
    before = count(relay, AGAIN)
    reload(relay, "%s: the configuration" % relay.conf_path)
    return count(relay, AGAIN) > before


def test_a_signal_while_nobody_can_be_asked(new_relay, several):
    """What needs no other servers counts at once, and other servers once
    there are any; the old ones are found again in any case."""
    hasty = {"redis_timeout": 2000}
    relay = new_relay(several.url, spf_timeout=500, **hasty)
    lame = several.servers
    if isinstance(several, Sentinels):
        lame = [several.primary(), *several.sentinels[1:]]
    other = "%s%s" % (several.url, ",127.0.0.1:1")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert flows(session)
        for server in lame:
            server.pause()
        assert session.mail() == "451 4.3.0 Temporary failure"
        reload(relay, report_url="https://new.example/r", **hasty)
        reload(relay, STAYS, redis=other, report_url="https://bad.example/r",
               **hasty)
        assert session.mail() == "451 4.3.0 Temporary failure"
        for server in lame:
            server.resume()
        wait_until(lambda: flows(session), 60, "mail by the servers of before")
        # In a cluster, the report goes to another server.
        wait_until(lambda: "https://new.example/r?id=" in session.mail(
            "a@bank.test"), 60, "what was put in force")
        wait_until(lambda: is_taken(relay), 60, "the other servers")
        wait_until(lambda: flows(session), 60, "mail by the other servers")
        wait_until(lambda: "https://bad.example/r?id=" in session.mail(
            "a@bank.test"), 60, "what is in force now")
