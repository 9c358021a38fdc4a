# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Totals of an hour: what relays write, against what clients have seen."""

import collections
import os
import signal
import time

import pytest

from cli import Smtpusers, package
from linedriver import FilterDriver
from places import configuration, workdir
from redisserver import wait_until
from session import Closed, Session, simple
from topologies import Cluster
from users import Users

PASSWORD = "Open-Sesame1"
TOPS = ("messages", "recipients", "bytes", "blocks")


def stats(redis, pattern="*"):
    """The counts of all hours together, by field."""
    found = collections.Counter()
    for key in redis.cli("KEYS", "smtp:stats:{%s}" % pattern):
        flat = redis.cli("HGETALL", key)
        found.update(dict(zip(flat[::2], map(int, flat[1::2]))))
    return dict(found)


def tops(redis, kind=""):
    """The four of each name, of all hours together."""
    found = collections.defaultdict(lambda: [0] * len(TOPS))
    for place, what in enumerate(TOPS):
        for key in redis.cli("KEYS", "smtp:top:{*}:" + kind + what):
            flat = redis.cli("ZRANGE", key, 0, -1, "WITHSCORES")
            for name, score in zip(flat[::2], flat[1::2]):
                found[name][place] += int(score)
    return dict(found)


def become(redis, wanted):
    """Waits for exactly these counts."""
    wait_until(lambda: sum(stats(redis).values()) >= sum(wanted.values()),
               60, "the totals")
    assert stats(redis) == wanted


def send(session, mark="x", count=1, **keys):
    """A message, and its size as smtpd has it behind the end."""
    recipients = ["r%d@example.com" % i for i in range(count)]
    reply = session.message(mark, recipients=recipients, **keys)
    assert reply.startswith("250"), reply


def test_what_a_user_sends_is_added_up(new_relay, redis, users):
    relay = new_relay()
    users.add("alice", PASSWORD, account="acme", mode="all")
    users.add("bob", PASSWORD, account="acme", mode="all")
    with Session(relay) as session:
        session.plain("alice", PASSWORD)
        send(session, count=3)
        send(session, count=1)
    with Session(relay) as session:
        session.plain("bob", PASSWORD)
        send(session, count=1)
    wait_until(lambda: stats(redis).get("message:accepted") == 3, 60,
               "the totals")
    found, by_user = stats(redis), tops(redis)
    size = found.pop("bytes:accepted")
    assert found == {"login:accepted": 2, "message:accepted": 3,
                     "recipient:accepted": 5}
    sizes = [int(dict(zip(entry[1][::2], entry[1][1::2]))["size"])
             for name in ("alice", "bob")
             for entry in redis.cli("XRANGE", users.key(name, "log"),
                                    "-", "+") if "size" in entry[1]]
    assert len(sizes) == 3 and size == sum(sizes)
    assert by_user == {"alice": [2, 4, sum(sizes[:2]), 0],
                       "bob": [1, 1, sizes[2], 0]}
    assert tops(redis, "account:") == {"acme": [3, 5, size, 0]}


def test_every_reply_is_counted_once(new_relay, redis, users):
    relay = new_relay(socket_filter=True, auth_failures="100/1h")
    users.add("alice", PASSWORD, max_recipients="2", max_size="5000")
    users.add("box", PASSWORD, ips=("192.0.2.1",))
    users.add("limited", PASSWORD, quota="1")
    users.add("sand", PASSWORD, status="sandboxed")
    users.add("bad", PASSWORD, quota="many")
    expected = collections.Counter()
    with Session(relay) as session:
        assert session.mail().startswith("530")
        expected["message:refused:not-logged-in"] += 1
        assert session.plain("alice", "wrong").startswith("535")
        assert session.plain("nobody", "wrong").startswith("535")
        assert session.plain("-n", "wrong").startswith("535")
        expected["login:refused"] += 3
        assert session.plain("box", PASSWORD).startswith("535 5.7.8")
        expected["login:refused:source-not-listed"] += 1
        assert session.plain("alice", PASSWORD).startswith("235")
        expected["login:accepted"] += 1
        assert session.mail("a@example.net").startswith("550")
        expected["message:refused:domain-not-assigned"] += 1
        session.mail()
        session.rcpt("a@example.com")
        session.rcpt("b@example.com")
        assert session.rcpt("c@example.com").startswith("452")
        expected["recipient:deferred:too-many-recipients"] += 1
        assert session.data(simple("x", "a@bank.test")).startswith("550")
        expected["message:refused:domain-not-assigned"] += 1
        assert session.message(content=simple("x" * 6000)).startswith("552")
        expected["message:refused:too-large"] += 1
        send(session, count=2)
        expected["message:accepted"] += 1
        expected["recipient:accepted"] += 2
    for form in (Session.plain_later, Session.login):
        with Session(relay) as session:
            assert form(session, "box", PASSWORD).startswith("235")
            expected["login:accepted"] += 1
            assert session.mail().startswith("535 5.7.8")
            expected["message:refused:source-not-listed"] += 1
    with Session(relay) as session:
        session.plain("limited", PASSWORD)
        send(session)
        expected.update(["message:accepted", "recipient:accepted"])
        assert session.mail().startswith("451")
        expected["message:deferred:quota"] += 1
    with Session(relay) as session:
        session.plain("sand", PASSWORD)
        send(session)
        expected.update(["message:sandboxed", "recipient:sandboxed"])
    with Session(relay) as session:
        session.plain("bad", PASSWORD)
        assert session.mail().startswith("451")
        expected["message:deferred:limits-unreadable"] += 1
    expected["login:accepted"] += 3
    with Session(relay) as session:
        session.plain("alice", PASSWORD)
        expected["login:accepted"] += 1
        session.mail()
        session.rcpt()
        session.command("DATA")
        users.block("alice")
        assert session.finish(simple()).startswith("550")
        expected["message:refused:user-changed"] += 1
        assert session.mail().startswith("530")
        expected["message:refused:user-blocked"] += 1
    relay.enter("sendmail", "-f", "root@example.org", "x@example.com",
                input=b"From: root@example.org\n\nHello\n")
    expected.update(["message:trusted", "recipient:trusted"])
    wait_until(lambda: stats(redis).get("message:trusted"), 60, "the totals")
    found = stats(redis)
    for result in ("accepted", "sandboxed", "trusted"):
        assert found.pop("bytes:" + result) > 100
    assert found == dict(expected)
    assert {name: found[3] for name, found in tops(redis).items()} == {
        "alice": 5, "box": 2, "limited": 0, "sand": 0}
    assert not tops(redis, "account:")


def test_a_source_that_is_refused(new_relay, redis, users):
    relay = new_relay(auth_failures="1/1h")
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", "wrong").startswith("535")

    def refused():
        with pytest.raises((Closed, AssertionError)):
            Session(relay)
        return True
    wait_until(lambda: redis.cli("KEYS", "smtp:failures:*"), 60, "it")
    assert refused() and refused()
    become(redis, {"login:refused": 1,
                   "connection:deferred:failed-logins": 2})


def test_relays_add_up(new_relay, redis, users):
    relays = [new_relay() for _ in range(2)]
    users.add("alice", PASSWORD)
    for relay in relays:
        with Session(relay) as session:
            session.plain("alice", PASSWORD)
            for _ in range(3):
                send(session)
    wait_until(lambda: stats(redis).get("message:accepted") == 6, 60,
               "the totals")
    assert tops(redis)["alice"][:2] == [6, 6]
    assert len(redis.cli("HGETALL", redis.cli(
        "KEYS", "smtp:stats:{*}:written")[0])) in (2, 4)


def test_what_was_lost_with_a_relay_is_a_second_at_most(new_relay, redis,
                                                        users):
    relay = new_relay()
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        session.plain("alice", PASSWORD)
        send(session)
        wait_until(lambda: stats(redis).get("message:accepted") == 1, 60,
                   "the totals")
    os.kill(relay.process.pid, signal.SIGKILL)
    relay.process.wait()
    relay.stop()
    relay.log_path.unlink()
    relay.start()
    with Session(relay) as session:
        session.plain("alice", PASSWORD)
        send(session)
    wait_until(lambda: stats(redis).get("message:accepted") == 2, 60,
               "the totals")


def test_redis_is_away_for_a_while(new_relay, redis, users):
    """What clients see meanwhile is added up, and there afterwards, once."""
    relay = new_relay()
    users.add("alice", PASSWORD)
    seen = collections.Counter()
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD).startswith("235")
        seen["login:accepted"] += 1
        for step in range(12):
            if step in (3, 8):
                redis.pause()
            if step in (6, 10):
                redis.resume()
            reply = session.message()
            if reply.startswith("250"):
                seen.update(["message:accepted", "recipient:accepted"])
            else:
                assert reply.startswith("451 4.3.0"), reply
                seen["message:deferred:redis-unavailable"] += 1
    assert seen["message:deferred:redis-unavailable"] >= 4

    def there():
        found = stats(redis)
        found.pop("bytes:accepted", None)
        return found == dict(seen)
    wait_until(there, 60, "the totals")


def test_logins_while_redis_is_away(new_relay, redis, users):
    """smtpd says itself that it cannot tell, and nobody is refused."""
    relay = new_relay()
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        redis.pause()
        assert session.plain("alice", PASSWORD)[0] == "4"
        redis.resume()
    with Session(relay) as session:
        wait_until(lambda: session.plain("alice", PASSWORD)[0] == "2", 60,
                   "a login")
    wait_until(lambda: stats(redis).get("login:accepted"), 60, "the totals")
    assert "login:refused" not in stats(redis)


def test_connections_that_are_lost(redis, users):
    """Whatever was under way when a connection went counts, and once."""
    users.add("alice", PASSWORD, account="acme", mode="all")
    conf = configuration(redis=redis.url, spf="off")
    with FilterDriver(workdir("lost"), conf) as driver:
        session = "%016x" % 1
        driver.report("link-connect", session, "x", "pass", "192.0.2.1:9",
                      "192.0.2.2:25")
        for _ in range(400):
            driver.report("link-auth", session, "fail", "nobody")
            redis.cli("CLIENT", "KILL", "TYPE", "normal")
            time.sleep(0.01)
        become(redis, {"login:refused": 400})


def test_rights_that_are_missing_at_first(redis, users):
    """As with the ACL of an older version: mail flows, the log says what is
    missing, and nothing is lost once it is there."""
    users.add("alice", PASSWORD)
    rule = package("provision.acl").acl_rule("smtp:", "relay", "old", ">pw")
    older = [word for word in rule if not word.startswith(
        ("%RW~smtp:stats", "%RW~smtp:top", "+hincrby", "+zincrby", "+zadd"))]
    assert len(older) == len(rule) - 5
    try:
        redis.cli(*older)
        home = workdir("acl")
        home.chmod(0o755)
        (home / "pw").write_text("pw\n")
        conf = configuration(redis=redis.url, spf="off", redis_user="old",
                             redis_password_file=str(home / "pw"))
        with FilterDriver(workdir("rights"), conf) as driver:
            message(driver)
            wait_until(lambda: "FCALL smtpusers_count: NOPERM" in
                       driver.stderr(), 60, "the log to say it")
            message(driver)
            redis.cli(*rule)
            wait_until(lambda: stats(redis).get("message:accepted") == 2, 60,
                       "the totals")
            assert driver.stderr().count("NOPERM User") < 10
        assert tops(redis)["alice"] == [2, 2, 200, 0]
    finally:
        redis.cli("ACL", "DELUSER", "old")


def message(driver):
    """A message of alice's, of a hundred bytes."""
    driver.count += 1
    session = "%016x" % (driver.count << 8)
    driver.report("link-connect", session, "x", "pass", "192.0.2.1:9",
                  "192.0.2.2:25")
    assert driver.ask("auth", session, "LOGIN") == "proceed"
    driver.report("link-auth", session, "pass", "alice")
    # The hash that the session is held to is read meanwhile.
    wait_until(lambda: driver.ask("mail-from", session,
                                  "a@example.org") == "proceed", 60, "MAIL")
    driver.report("tx-begin", session, "00000001")
    assert driver.ask("rcpt-to", session, "bob@example.com") == "proceed"
    for line in ("From: <a@example.org>", "", "x", "."):
        driver.send("filter|0.7|1.0|smtp-in|data-line|%s|%016x|%s" % (
            session, driver.count, line))
        driver.line(60)
    assert driver.ask("commit", session) == "proceed"
    driver.report("tx-commit", session, "00000001", "100")
    driver.report("link-disconnect", session)


def test_another_prefix_from_a_reload_on(redis, users):
    """What was counted before stays where it was."""
    other = Users(redis, "x:")
    for owner in (users, other):
        owner.add("alice", PASSWORD)
    home = workdir("reload")
    with FilterDriver(home, configuration(redis=redis.url)) as driver:
        message(driver)
        wait_until(lambda: stats(redis).get("message:accepted") == 1, 60,
                   "the totals")
        (home / "smtpusers.conf").write_text(configuration(
            redis=redis.url, prefix="x:"))
        os.kill(driver.process.pid, signal.SIGHUP)
        wait_until(lambda: "read again" in driver.stderr(), 60, "the reload")
        message(driver)
        wait_until(lambda: redis.cli("KEYS", "x:stats:{*}"), 60, "the totals")
    assert stats(redis)["message:accepted"] == 1


def test_the_hours_of_a_cluster():
    """All keys of an hour are in one slot."""
    with Cluster() as cluster:
        Users(cluster).add("alice", PASSWORD, account="acme", mode="all")
        conf = configuration(redis=cluster.url, spf="off")
        with FilterDriver(workdir("cluster"), conf) as driver:
            message(driver)
            keys = wait_until(lambda: cluster.everywhere(
                "KEYS", "smtp:top:*"), 60, "the totals")
        assert {key.partition("}:")[2] for key in keys} == {
            kind + what for kind in ("", "account:") for what in TOPS[:3]}
        home = workdir("command")
        found = Smtpusers(cluster, home).json("top")
        assert [row["name"] for row in found["users"]] == ["alice"]
        assert Smtpusers(cluster, home).json("stats", "--since", "2d")[
            "totals"]["message"] == {"accepted": 1}
