# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What smtpd's clients see while Redis cannot be asked, and afterwards."""

import os
import threading
import time

import pytest

from fakeredis import BEHAVIOURS, FakeRedis
from linedriver import FilterDriver, TableDriver
from places import REPORT_URL, configuration, slack, workdir
from redisserver import RedisServer, wait_until
from relay import shared
from session import FORMS, Closed, Session, b64, simple

OK = "235 2.0.0 Authentication succeeded"
AUTH_LATER = "421 4.3.0 Temporary failure"
LATER = "451 4.3.0 Temporary failure"
PASSWORD = "Open-Sesame1"

# The configuration's deadline.
DEADLINE = 1.0
KEYS = {"redis_timeout": int(DEADLINE * 1000)}


@pytest.fixture(scope="module")
def shared_relay(shared_redis, shared_sink, tls):
    conf = configuration(redis=shared_redis.url, report_url=REPORT_URL, **KEYS)
    yield from shared(conf, tls, shared_sink)


def timed(call, *args):
    began = time.monotonic()
    result = call(*args)
    return result, time.monotonic() - began


def record(users, name="alice"):
    """What Redis has of a user, to be put back after a restart."""
    return users.redis.cli("HGETALL", users.key(name))


def restore(users, fields, name="alice"):
    users.redis.cli("HSET", users.key(name), *fields)
    users.domains(name, "example.org")


def works_again(relay, users, name="alice"):
    def attempt():
        try:
            with Session(relay) as session:
                return (session.plain(name, PASSWORD) == OK
                        and session.message("again").startswith("250"))
        except Closed:
            return False
    wait_until(attempt, 20, "mail to go again")


def pause(redis):
    redis.pause()


def kill(redis):
    redis.kill()


AILMENTS = {"stopped": pause, "killed": kill}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ailment", AILMENTS)
def test_auth_while_redis_is_away(relay, users, redis, form, ailment):
    users.add("alice", PASSWORD)
    works_again(relay, users)
    with Session(relay) as session:
        AILMENTS[ailment](redis)
        reply, took = timed(FORMS[form], session, "alice", PASSWORD)
        assert reply == AUTH_LATER
        assert took < DEADLINE + slack(2)
        assert b64("", "alice", PASSWORD) not in relay.log()
        assert not session.mail().startswith("2")


@pytest.mark.parametrize("ailment", AILMENTS)
def test_mail_from_while_redis_is_away(relay, users, redis, ailment):
    users.add("alice", PASSWORD)
    users.add("printer")
    users.ip_auth("printer", "127.0.0.2")
    with Session(relay) as known, Session(relay, "127.0.0.2") as appliance, \
            Session(relay, "127.0.0.3") as unknown:
        assert known.plain("alice", PASSWORD) == OK
        AILMENTS[ailment](redis)
        for session in (known, appliance, unknown):
            reply, took = timed(session.mail)
            assert reply == LATER
            assert took < DEADLINE + slack(2)
            assert session.command("NOOP").startswith("250")


@pytest.mark.parametrize("ailment", AILMENTS)
def test_end_of_data_while_redis_is_away(relay, users, redis, sink, ailment):
    users.add("alice", PASSWORD)
    fields = record(users)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        session.mail()
        session.rcpt()
        assert session.command("DATA").startswith("354")
        AILMENTS[ailment](redis)
        reply, took = timed(session.finish, simple("lost"))
        assert reply == LATER
        assert took < DEADLINE + slack(2)
        if redis.process is None:
            redis.start()
            restore(users, fields)
        redis.resume()
        works_again(relay, users)
        assert session.message("kept").startswith("250")
    sink.wait_for(b"kept")
    assert not [m for m in sink.messages if b"Subject: lost" in m.data]


def test_other_sessions_go_on_while_redis_stands_still(relay, users, redis):
    users.add("alice", PASSWORD)
    with Session(relay) as waiting, Session(relay) as other:
        assert waiting.plain("alice", PASSWORD) == OK
        assert other.plain("alice", PASSWORD) == OK
        assert other.mail().startswith("250")
        redis.pause()
        waiting.send("MAIL FROM:<alice@example.org>\r\n")
        slowest = 0.0
        for n in range(50):
            reply, took = timed(other.rcpt, "user%d@example.com" % n)
            assert reply.startswith("250")
            slowest = max(slowest, took)
        assert waiting.read() == LATER
        # The table is asked for nobody here, so nobody waits for it.
        assert slowest < DEADLINE + slack(2)


def test_many_sessions_while_redis_stands_still(relay, users, redis):
    users.add("alice", PASSWORD)
    sessions = [Session(relay) for _ in range(30)]
    for session in sessions:
        assert session.plain("alice", PASSWORD) == OK
    redis.pause()
    replies = []

    def ask(session):
        replies.append(timed(session.mail))
    threads = [threading.Thread(target=ask, args=(s,)) for s in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {reply for reply, _ in replies} == {LATER}
    assert max(took for _, took in replies) < DEADLINE + slack(2)
    redis.resume()
    works_again(relay, users)
    for session in sessions:
        assert session.message("thawed").startswith("250")
        session.drop()


def test_killed_and_restarted_mid_session(relay, users, redis, sink):
    users.add("alice", PASSWORD)
    fields = record(users)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message("before").startswith("250")
        redis.kill()
        assert session.mail() == LATER
        redis.start()
        restore(users, fields)
        works_again(relay, users)
        assert session.message("afterwards").startswith("250")
    sink.wait_for(b"afterwards")


def test_connections_cut_by_redis(relay, users, redis):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        for _ in range(5):
            redis.cli("CLIENT", "KILL", "TYPE", "normal")
            reply = session.mail()
            assert reply.startswith("250") or reply == LATER
            session.command("RSET")
            works_again(relay, users)
        assert session.message("uncut").startswith("250")


def test_a_replica_that_serves_what_it_has(relay, users, redis):
    users.add("alice", PASSWORD)
    redis.cli("REPLICAOF", "127.0.0.1", "1")
    try:
        with Session(relay) as session:
            assert session.plain("alice", PASSWORD) == OK
            assert session.message().startswith("250")
            assert session.plain("alice", PASSWORD).startswith("503")
    finally:
        redis.cli("REPLICAOF", "NO", "ONE")


def test_a_replica_that_serves_nothing(relay, users, redis):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        redis.cli("CONFIG", "SET", "replica-serve-stale-data", "no")
        redis.cli("REPLICAOF", "127.0.0.1", "1")
        try:
            assert session.mail() == LATER
            with Session(relay) as another:
                assert another.plain("alice", PASSWORD) == AUTH_LATER
        finally:
            redis.cli("REPLICAOF", "NO", "ONE")
            redis.cli("CONFIG", "SET", "replica-serve-stale-data", "yes")
        works_again(relay, users)
        assert session.message("promoted").startswith("250")


def test_a_password_that_redis_does_not_take(relay, users, redis):
    users.add("alice", PASSWORD)
    works_again(relay, users)
    with Session(relay) as session:
        redis.cli("CONFIG", "SET", "requirepass", "Redis-Secret-9")
        try:
            redis.cli("CLIENT", "KILL", "TYPE", "normal",
                      password="Redis-Secret-9")
            assert session.plain("alice", PASSWORD) == AUTH_LATER
            assert session.mail() == LATER
        finally:
            redis.cli("CONFIG", "SET", "requirepass", "",
                      password="Redis-Secret-9")
    works_again(relay, users)


def test_the_log_has_no_password_of_redis(new_relay, users):
    """A server that does not know AUTH repeats what it was given."""
    secret = "Very-Secret-Redis-Word"
    directory = workdir("redis")
    (directory / "secret").write_text(secret + "\n")
    with RedisServer(directory, extra=("--rename-command", "AUTH", "")) as odd:
        relay = new_relay(odd.url, **KEYS, redis_user="relay",
                          redis_password_file=str(directory / "secret"))
        wait_until(lambda: relay.log().count("AUTH: ERR unknown command") > 1,
                   20, "both programs to be refused")
        with Session(relay) as session:
            assert session.mail() == LATER
        assert secret not in relay.log()


def test_a_relay_may_start_before_its_redis(new_relay, users, redis):
    users.add("alice", PASSWORD)
    fields = record(users)
    redis.kill()
    relay = new_relay(**KEYS)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == AUTH_LATER
        assert session.mail() == LATER
    redis.start()
    restore(users, fields)
    works_again(relay, users)


def test_smtpd_outlives_a_night_of_trouble(relay, users, redis):
    users.add("alice", PASSWORD)
    fields = record(users)
    for _ in range(5):
        redis.kill()
        with Session(relay) as session:
            assert session.plain("alice", PASSWORD).startswith("4")
        redis.start()
        restore(users, fields)
        redis.pause()
        with Session(relay) as session:
            assert session.plain("alice", PASSWORD).startswith("4")
        redis.resume()
        works_again(relay, users)


# The same without smtpd, where times can be taken to the millisecond.

@pytest.mark.parametrize("ailment", AILMENTS)
def test_the_table_answers_within_the_deadline(redis, users, ailment):
    users.add("alice", PASSWORD)
    conf = configuration(redis=redis.url, **KEYS)
    with TableDriver(workdir("table"), conf, "7.9.0-portable") as table:
        assert table.lookup("credentials", "alice").startswith("found|alice:")
        AILMENTS[ailment](redis)
        for service, key in (("credentials", "alice"),
                             ("credentials", "nobody"),
                             ("auth", "alice:" + PASSWORD)):
            operation = "check" if service == "auth" else "lookup"
            result, took = table.ask(operation, service, key)
            assert result.startswith("error"), result
            assert took < DEADLINE + slack(2)
        for _ in range(4):
            result, took = table.ask("check", "netaddr", "127.0.0.2")
            assert result.startswith("error"), result
            assert took < DEADLINE + slack(2)
        fields = None
        if redis.process is None:
            redis.start()
            fields = True
        redis.resume()
        if fields:
            users.add("alice", PASSWORD)
        wait_until(lambda: table.lookup("credentials", "alice")
                   .startswith("found|alice:"), 20, "the table to recover")


def test_the_deadline_is_the_configurations(redis, users):
    users.add("alice", PASSWORD)
    times = []
    for deadline in (150, 6000):
        conf = configuration(redis=redis.url, redis_timeout=deadline)
        with TableDriver(workdir("table"), conf) as table:
            assert wait_until(lambda t=table: t.lookup("credentials", "alice")
                              .startswith("found"), 20, "the table's answer")
            redis.pause()
            result, took = table.ask("lookup", "credentials", "alice")
            redis.resume()
            assert result.startswith("error")
            assert took > 0.9 * deadline / 1000
            times.append(took)
    assert times[0] < times[1]


@pytest.mark.parametrize("kind", BEHAVIOURS)
def test_the_table_and_a_server_that_is_no_redis(kind):
    directory = workdir("table")
    with FakeRedis(directory, BEHAVIOURS[kind]) as fake:
        conf = configuration(redis=fake.url, **KEYS)
        with TableDriver(directory, conf) as table:
            for _ in range(3):
                for operation, service, key in (
                        ("lookup", "credentials", "alice"),
                        ("check", "netaddr", "127.0.0.2")):
                    result, took = table.ask(operation, service, key)
                    assert result == "not-found" or \
                        result.startswith("error"), result
                    assert took < DEADLINE + slack(2)
            assert fake.connections > 0
            assert small(table.process.pid)


@pytest.mark.parametrize("kind", BEHAVIOURS)
def test_the_filter_and_a_server_that_is_no_redis(kind):
    directory = workdir("filter")
    with FakeRedis(directory, BEHAVIOURS[kind]) as fake:
        conf = configuration(redis=fake.url, **KEYS)
        with FilterDriver(directory, conf) as driver:
            for n in range(3):
                session = "%016x" % n
                driver.connect(session)
                driver.authenticate(session, "alice")
                verdict, took = timed(driver.ask, "mail-from", session,
                                      "alice@example.org")
                assert verdict.startswith("reject|4") or \
                    verdict == "reject|530 5.7.0 Authentication required"
                assert took < DEADLINE + slack(2)
                driver.disconnect(session)
            assert small(driver.process.pid)


def small(pid):
    """Whether the program has not taken all memory for a liar's numbers."""
    with open("/proc/%d/statm" % pid) as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") < 1e9


@pytest.mark.parametrize("url", [
    "unix:/nonexistent/redis.sock", "unix:/etc/passwd", "tcp:127.0.0.1:1",
    "tls:127.0.0.1:1", "tcp:nowhere.invalid:6379"])
def test_an_address_with_nobody_there(url):
    with TableDriver(workdir("table"), configuration(redis=url, **KEYS)) as table:
        for _ in range(5):
            result, took = table.ask("lookup", "credentials", "alice")
            assert result.startswith("error")
            assert took < DEADLINE + slack(2)
