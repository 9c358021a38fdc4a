# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""Quotas and rates: what is refused, when, in which words, and what counts."""

import re
import select
import threading

import pytest

from fakeredis import FakeRedis
from places import REDIS7, workdir
from quotas import LUA, Functions, Sender, limited
from redisserver import RedisServer, ReplyError, wait_until
from reports import entries
from session import Session, simple
from topologies import Node
from users import Users

PASSWORD = "Open-Sesame1"
TEMPFAIL = "reject|451 4.3.0 Temporary failure"
FULL = re.compile(r"451 4\.7\.1 \[QUOTA\] (\d+) (messages|recipients) per "
                  r"(\w+) used, try again in (\d+) s")


def refusal(reply):
    """(limit, unit, period), and the seconds, of a [QUOTA] reply."""
    match = FULL.fullmatch(reply.removeprefix("reject|"))
    assert match, reply
    return (int(match[1]), match[2], match[3]), int(match[4])


@pytest.fixture
def sender(redis, users):
    with Sender(redis.url) as one:
        yield one


def logged_in(relay):
    session = Session(relay)
    assert session.plain("alice", PASSWORD).startswith("235")
    return session


def test_used_up_at_mail_from(relay, users):
    users.add(quota="2", quota_period="1h")
    with logged_in(relay) as session:
        assert session.message().startswith("250")
        assert session.message().startswith("250")
        limit, seconds = refusal(session.mail())
    assert limit == (2, "messages", "1h") and 3590 <= seconds <= 3600
    assert Functions(users.redis).used() == {"quota": 2}


def test_used_up_at_end_of_data(relay, users):
    """Room at MAIL FROM that another session takes meanwhile."""
    users.add(quota="1")
    with logged_in(relay) as early, logged_in(relay) as late:
        assert early.mail().startswith("250")
        assert early.rcpt().startswith("250")
        assert late.message().startswith("250")
        assert refusal(early.data(simple()))[0] == (1, "messages", "1d")
        assert early.command("NOOP").startswith("250")
    assert Functions(users.redis).used() == {"quota": 1}


def test_no_delivery_over_quota(relay, users, sink):
    users.add(quota="1")
    with logged_in(relay) as session:
        assert session.message("within quota").startswith("250")
        refusal(session.message("over quota"))
        users.set("alice", quota="0")
        assert session.message("without quota").startswith("250")
    # Mail of a test before may still come.
    sink.wait_for(b"Subject: within quota")
    sink.wait_for(b"Subject: without quota")
    assert not [m for m in sink.wait() if b"Subject: over quota" in m.data]


def test_smtpd_fails_after_commit(new_relay, users):
    """A queue that smtpd cannot write to: what was reserved comes back."""
    relay = new_relay()
    users.add(quota="5")
    counters = Functions(users.redis)
    with logged_in(relay) as session:
        assert session.message().startswith("250")
        queue = "/var/spool/smtpd/queue"
        done = relay.enter("sh", "-c", "mount --bind %s %s && "
                           "mount -o remount,ro,bind %s" % ((queue,) * 3))
        assert done.returncode == 0, done.stderr
        try:
            reply = session.message()
        finally:
            relay.enter("umount", queue)
    assert reply[:1] == "4", reply
    wait_until(lambda: counters.used() == {"quota": 1}, 10, "the refund")
    holds = users.redis.cli("KEYS", counters.user + ":used:hold:*")
    values = sorted(users.redis.cli("GET", key) for key in holds)
    assert values in (["kept"], ["kept", "void"])


@pytest.mark.parametrize("end", ["tx-rollback", "drop"])
def test_given_back(sender, users, end):
    limited(users, quota="2", rate="3/1h")
    counters = Functions(users.redis)
    for _ in range(5):
        assert sender.mail() == "proceed"
        assert sender.commit() == "proceed"
        assert counters.used()["quota"] == 1
        if end == "drop":
            sender.close()
        else:
            sender.report(end)
        wait_until(lambda: counters.used() == {"quota": 0, "3/1h": 0}, 10,
                   "the refund")
    assert sender.send(4) == 2


def test_drop_before_answer(redis, users):
    """The session ends while Redis stands still with the reservation."""
    limited(users, quota="2")
    counters = Functions(redis)
    with Sender(redis.url, redis_timeout=3000) as sender:
        assert sender.mail() == "proceed"
        driver, session = sender.driver, sender.session
        redis.pause()
        driver.send("filter|0.7|1.0|smtp-in|commit|%s|%016x|" % (session, 99))
        driver.disconnect(session)
        redis.resume()
        sender.session = None
        assert sender.send(5) == 2
        wait_until(lambda: counters.used() == {"quota": 2}, 10, "two charged")


def test_kept_is_not_given_back(sender, users):
    limited(users, quota="3")
    assert sender.message() == "proceed"
    sender.report("tx-rollback")
    sender.close()
    assert sender.send(5) == 2


def test_rates(sender, users):
    limited(users, rate="3/1h")
    assert sender.send(3) == 3
    limit, seconds = refusal(sender.message())
    assert limit == (3, "messages", "1h") and 1190 <= seconds <= 1200


def test_rate_leaks(sender, users):
    """One more each time that the bucket has leaked one."""
    limited(users, rate="4/2s")
    assert sender.send(4) == 4
    refusal(sender.message())
    wait_until(lambda: sender.message() == "proceed", 10, "the rate to open")


@pytest.mark.parametrize("limits, which, charged", [
    ({"quota": "9", "rate": "2/1h 5/1d"}, (2, "messages", "1h"),
     {"quota": 2, "2/1h": 2, "5/1d": 2}),
    ({"quota": "9", "rate": "5/1h 2/1d"}, (2, "messages", "1d"),
     {"quota": 2, "5/1h": 2, "2/1d": 2}),
    ({"quota": "2", "rate": "5/1h 9/1d"}, (2, "messages", "1d"),
     {"quota": 2, "5/1h": 2, "9/1d": 2})])
def test_all_or_none(sender, users, limits, which, charged):
    limited(users, **limits)
    counters = Functions(users.redis)
    assert sender.send(2) == 2
    for number in range(3):
        reply = counters.call("reserve", "id%d" % number, 1)
        assert reply[0] == "full" and reply[3] == which[2], reply
        assert refusal(sender.message())[0] == which
    assert counters.used() == charged


def test_one_rate_written_twice(sender, users):
    """The same rate in two spellings is one limit, charged once."""
    limited(users, rate="4/1h 4/60m")
    assert sender.send(6) == 4


def test_lower_and_raise(sender, users):
    limited(users, quota="3")
    assert sender.send(2) == 2
    users.set("alice", quota="2")
    assert refusal(sender.message())[0] == (2, "messages", "1d")
    users.set("alice", quota="4")
    assert sender.send(5) == 2
    users.set("alice", quota="1")
    refusal(sender.message())
    users.set("alice", quota="0")
    assert sender.send(5) == 5


def test_lower_between_mail_from_and_end_of_data(sender, users):
    limited(users, quota="3")
    assert sender.send(2) == 2
    assert sender.mail() == "proceed"
    users.set("alice", quota="2")
    refusal(sender.commit())


def test_another_users_refusals_push_no_refund_out(sender, redis, users):
    """While Redis stands still: far more of them than there is room for."""
    limited(users, quota="3")
    users.add("eve", PASSWORD)
    counters = Functions(redis)
    filt, eve = sender.driver, "%016x" % 999
    filt.connect(eve)
    filt.authenticate(eve, "eve")
    assert filt.ask("mail-from", eve, "a@example.org") == "proceed"
    assert (sender.mail(), sender.commit()) == ("proceed", "proceed")
    assert counters.used() == {"quota": 1}
    redis.pause()
    try:
        sender.report("tx-rollback")
        for _ in range(12000):
            assert filt.ask("mail-from", eve, "a@example.org") == TEMPFAIL
    finally:
        redis.resume()
    wait_until(lambda: counters.used() == {"quota": 0}, 20, "the refund")
    wait_until(lambda: [entry["result"] for entry in entries(redis, "alice")]
               == ["failed"], 60, "the entry of alice's log")
    wait_until(lambda: "too many wait for Redis" in filt.stderr(), 60,
               "a word about those that are lost")


@pytest.mark.parametrize("field, value", [
    ("quota", "ten"), ("quota", "-1"), ("quota", "1e3"), ("quota", "1.5"),
    ("quota", " 5"), ("quota", "9" * 30), ("quota", "5\n"),
    ("quota_period", "1y"), ("quota_period", "0"), ("quota_period", "-1d"),
    ("quota_period", "99999d"), ("rate", "5"), ("rate", "5/"),
    ("rate", "/1h"), ("rate", "0/1h"), ("rate", "5/1h,6/1d"),
    ("rate", "5/1h 6"), ("rate", "x/1h"), ("rate", "5/0s"),
    ("rate", "5/1h/2"), ("rate", " ".join("%d/1h" % n for n in range(1, 12)))])
def test_values_that_do_not_parse(sender, users, field, value):
    """451 and a line in the log, by the filter and by the functions."""
    limited(users, **{"quota": "100", "quota_period": "1h", field: value})
    assert sender.message() == TEMPFAIL
    assert "user:{alice}: " in sender.driver.stderr()
    counters = Functions(users.redis)
    assert counters.call("reserve", "x", 1) == ["bad", field]
    assert counters.call("check", "x", 1) == ["bad", field]
    users.set("alice", **{"quota": "100", "quota_period": "1h", "rate": "9/1h",
                          field: {"quota": "7", "quota_period": "2h",
                                  "rate": "8/1h"}[field]})
    assert sender.message() == "proceed"


def test_broken_between_mail_from_and_end_of_data(sender, users):
    limited(users, quota="3")
    assert sender.mail() == "proceed"
    users.set("alice", quota="three")
    assert sender.commit() == TEMPFAIL


def test_counters_of_wrong_types(sender, users):
    limited(users, quota="3", rate="3/1h")
    counters = Functions(users.redis)
    for key in (":used:quota", ":used:rate"):
        users.redis.cli("DEL", counters.user + key)
        users.redis.cli("RPUSH", counters.user + key, "x")
        for _ in range(3):
            assert refusal(sender.message())[0][1] == "messages"
        # Once, and not with each message.
        wait_until(lambda: sender.driver.stderr().count(
            "%s: cannot be read, so it counts as used up" % (
                counters.user + key)) == 1, 10, "a line in the log")
        users.redis.cli("DEL", counters.user + key)
        assert sender.message() == "proceed"


def test_recipients_that_smtpd_does_not_report(new_relay, users, sink):
    """smtpd keeps silent about one whose command is long."""
    relay = new_relay(quota_unit="recipient")
    users.add("alice", PASSWORD)
    users.set("alice", quota="3", quota_period="1d")
    counters = Functions(users.redis)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD).startswith("235")
        assert session.mail().startswith("250")
        for number in range(4):
            assert session.rcpt("x" * 246 + ":bob%d@example.com" %
                                number).startswith("250")
        assert session.data(simple("too-many")) == NEVER % 3
        assert session.mail().startswith("250")
        assert session.rcpt("x" * 246 + ":bob@example.com").startswith("250")
        # One that smtpd refuses, and says so, takes none of these off.
        assert session.rcpt("no at sign").startswith("5")
        assert session.rcpt("carol@example.com").startswith("250")
        assert session.data(simple("two")).startswith("250")
    wait_until(lambda: counters.used() == {"quota": 2}, 10, "two recipients")
    sink.wait_for(b"Subject: two")


NEVER = ("550 5.7.1 [QUOTA] %d recipients per 1d allowed, this message has "
         "more")


@pytest.mark.parametrize("limit", [{"quota": "3"}, {"rate": "3/1d"}])
def test_more_recipients_than_can_ever_be(redis, users, limit):
    """Refused for good, and not charged."""
    limited(users, **limit)
    with Sender(redis.url, quota_unit="recipient") as sender:
        assert sender.message(recipients=4) == "reject|" + NEVER % 3
        assert sender.message(recipients=2) == "proceed"
        assert FULL.fullmatch(sender.message(recipients=2)
                              .removeprefix("reject|"))
        assert sender.message(recipients=4) == "reject|" + NEVER % 3
        assert sender.message(recipients=1) == "proceed"
    assert sum(Functions(redis).used().values()) == 3


@pytest.mark.parametrize("taken, count", [(False, 3), (True, 4)])
def test_a_refusal_counts_once(redis, users, taken, count):
    """Only of the last recipient, and not when that was taken."""
    limited(users, quota="100")
    counters = Functions(redis)
    with Sender(redis.url, quota_unit="recipient") as sender:
        assert sender.mail() == "proceed"
        for name in ("a", "b", "c", "d"):
            sender.driver.ask("rcpt-to", sender.session, name + "@x.test")
        if taken:
            sender.driver.report("tx-rcpt", sender.session, "00000001", "ok",
                                 "d@x.test")
        for name in ("a", "d", "d", "c", ""):
            sender.driver.report("tx-rcpt", sender.session, "00000001",
                                 "permfail", name + "@x.test")
        assert sender.commit(recipients=0) == "proceed"
    assert counters.used() == {"quota": count}


def test_recipients(redis, users):
    limited(users, quota="5")
    with Sender(redis.url, quota_unit="recipient") as sender:
        assert sender.message(recipients=3) == "proceed"
        verdict = sender.message(recipients=3)
        assert refusal(verdict)[0] == (5, "recipients", "1d")
        assert sender.message(recipients=2) == "proceed"
        refusal(sender.mail())
        assert Functions(redis).used() == {"quota": 5}


def test_functions_flushed(sender, users):
    limited(users, quota="20")
    for _ in range(5):
        users.redis.cli("FUNCTION", "FLUSH")
        assert sender.mail() == "proceed"
        users.redis.cli("FUNCTION", "FLUSH")
        assert sender.commit() == "proceed"
        sender.report("tx-rollback", "100")
        users.redis.cli("FUNCTION", "FLUSH")
        assert sender.message() == "proceed"
    counters = Functions(users.redis)
    wait_until(lambda: counters.used() == {"quota": 5}, 10,
               "refunds to be written")


NUMBER, HASH = re.match(r"#!lua name=smtpusers_([0-9]+)_([0-9a-f]{16})\n",
                        LUA.read_text()).groups()
NUMBER = int(NUMBER)


def with_version(number, digest=HASH):
    text = LUA.read_text().replace("smtpusers_%d_" % NUMBER,
                                   "smtpusers_%d_" % number)
    return text.replace("local VERSION = %d" % NUMBER,
                        "local VERSION = %d" % number).replace(HASH, digest)


@pytest.fixture
def put(redis):
    """Puts a library in the place of all that there are; none is left for
    the next test."""
    def put_library(text):
        redis.cli("FUNCTION", "FLUSH")
        redis.cli("FUNCTION", "LOAD", text)
    yield put_library
    redis.cli("FUNCTION", "FLUSH")


def version(redis):
    try:
        return redis.cli("FCALL", "smtpusers_version", 0)
    except ReplyError:
        return None


@pytest.mark.parametrize("other", [
    with_version(NUMBER - 1), with_version(NUMBER, "f" * 16),
    "#!lua name=smtpusers\nredis.register_function('smtpusers_version', "
    "function() return 99 end)",
    "#!lua name=smtpusers\nredis.register_function('smtpusers_reserve', "
    "function() return {'ok'} end)"],
    ids=["older", "other text", "former", "without"])
def test_another_library_is_replaced(redis, users, put, other):
    put(other)
    limited(users, quota="2")
    with Sender(redis.url) as sender:
        wait_until(lambda: version(redis) == [NUMBER, HASH], 20,
                   "the filter to load its own")
        assert sender.send(3) == 2


def test_newer_library_stays(redis, users, put):
    put(with_version(NUMBER + 1))
    limited(users, quota="2")
    with Sender(redis.url) as sender:
        assert sender.send(3) == 2
    assert version(redis) == [NUMBER + 1, HASH]


def test_an_older_loader_between_question_and_answer(redis, users,
                                                            put):
    """The filter has heard of an old library; before it puts its own there,
    another client has put the newest: that stays."""
    put(with_version(NUMBER - 1))
    newest = with_version(NUMBER + 1)
    met = []

    def behaviour(fake, connection):
        with redis.connect() as upstream:
            while request := connection.recv(1 << 18):
                if b"MULTI" in request and not met:
                    met.append(version(redis))
                    redis.cli("FUNCTION", "DELETE",
                              "smtpusers_%d_%s" % (NUMBER - 1, HASH))
                    redis.cli("FUNCTION", "LOAD", newest)
                upstream.socket.sendall(request)
                connection.sendall(upstream.socket.recv(1 << 18))

    limited(users, quota="2")
    with FakeRedis(workdir("proxy"), behaviour) as proxy, \
            Sender(proxy.url, redis_timeout=5000) as sender:
        wait_until(lambda: met, 20, "the filter to load its own")
        sender.send(1)
        assert met == [[NUMBER - 1, HASH]]
        assert version(redis) == [NUMBER + 1, HASH]


SERVERS = {
    "redis-7.0": (REDIS7, ()),
    "valkey": ("valkey-server", ()),
}


@pytest.mark.parametrize("name", SERVERS)
def test_servers(name):
    program, extra = SERVERS[name]
    with RedisServer(workdir("redis"), program, extra) as server:
        users = Users(server)
        limited(users, quota="4", rate="9/1h")
        with Sender(server.url) as sender:
            assert sender.message() == "proceed"
            assert sender.message("tx-rollback") == "proceed"
            assert sender.send(5) == 3
            assert refusal(sender.message())[0] == (4, "messages", "1d")
            users.set("alice", quota="99")
            assert sender.send(10) == 5
            assert refusal(sender.message())[0] == (9, "messages", "1h")


def test_a_server_without_functions_is_like_one_that_is_away(users):
    """One from before Redis 7, which is said once."""
    old = ("--rename-command", "FCALL", "", "--rename-command", "FUNCTION", "")
    with RedisServer(workdir("redis"), REDIS7, old) as server:
        limited(Users(server), quota="4")
        with Sender(server.url) as sender:
            wait_until(lambda: "too old" in sender.driver.stderr(), 10, "the log")
            assert sender.mail() == "reject|451 4.3.0 Temporary failure"
            assert sender.driver.stderr().count("too old") == 1


def test_answer_lost_is_asked_again(redis, users):
    """The command ran, its reply did not come: it counts once."""
    limited(users, quota="20")
    counters = Functions(redis)
    lost = []

    def behaviour(fake, connection):
        with redis.connect() as upstream:
            while request := connection.recv(1 << 18):
                upstream.socket.sendall(request)
                reply = upstream.socket.recv(1 << 18)
                if b"smtpusers_reserve" in request and len(lost) % 2 == 0:
                    lost.append(reply)
                    connection.close()
                    return
                if b"smtpusers_reserve" in request:
                    lost.append(None)
                connection.sendall(reply)

    with FakeRedis(workdir("proxy"), behaviour) as proxy, \
            Sender(proxy.url, redis_timeout=5000) as sender:
        accepted = 0
        for _ in range(8):
            before = len(lost)
            accepted += sender.message() == "proceed"
            assert len(lost) > before
    assert accepted >= 1
    wait_until(lambda: counters.used() == {"quota": accepted}, 10,
               "as many charged as accepted")


def losing(server, lose):
    """Passes on; once lose is set, the next reservation is carried out, and
    its connection is gone before the reply."""
    def behaviour(fake, connection):
        with connection, server.connect() as upstream:
            other = {connection: upstream.socket, upstream.socket: connection}
            while True:
                for end in select.select(other, [], [])[0]:
                    data = end.recv(1 << 18)
                    if not data:
                        return
                    other[end].sendall(data)
                    if lose.is_set() and b"smtpusers_reserve" in data:
                        lose.clear()
                        upstream.socket.recv(1)
                        return
    return behaviour


def test_what_is_asked_again_is_on_no_replica_yet():
    """Who asks again has written nothing by this connection, unless the
    function writes again: then WAIT would be content at once."""
    lose = threading.Event()
    with Node("redis-server") as primary, Node("redis-server") as replica:
        replica.follow(primary)
        wait_until(replica.is_replica, 20, "the replica to follow")
        limited(Users(primary), quota="20")
        counters = Functions(primary)
        with FakeRedis(workdir("proxy"), losing(primary, lose)) as proxy, \
                Sender(proxy.url, redis_replicas=1, redis_timeout=5000) as \
                sender:
            wait_until(lambda: sender.message() == "proceed", 20, "mail")
            before = counters.used()["quota"]
            assert sender.mail() == "proceed"
            replica.pause()
            lose.set()
            assert sender.commit() == TEMPFAIL
            assert not lose.is_set()
            replica.resume()
            sender.report("tx-rollback", "100")
            wait_until(lambda: counters.used() == {"quota": before}, 20,
                       "it to be given back")


def test_a_hold_that_is_asked_for_again_lasts_no_longer(redis, users):
    limited(users, quota="20")
    counters = Functions(redis)
    hold = counters.user + ":used:hold:x"
    assert counters.call("reserve", "x", 1) == ["ok"]
    held = redis.cli("GET", hold)
    redis.cli("EXPIRE", hold, 1000)
    assert counters.call("reserve", "x", 1) == ["ok"]
    assert redis.cli("GET", hold) == held
    assert 0 < redis.cli("TTL", hold) <= 1000
    assert counters.used() == {"quota": 1}
