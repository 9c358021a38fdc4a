# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""How often Redis is asked one after the other for one decision, by what it
sees: a second question that waits for the answer to the first costs a round
trip more."""

import base64
import io
import time

import pytest

from fakeredis import FakeRedis
from linedriver import FilterDriver, TableDriver
from places import configuration, workdir
from quotas import Functions
from redisserver import Connection, wait_until

PASSWORD = "Open-Sesame1"
SOURCE = "192.0.2.1"
# What is written for people waits for nothing; a report is waited for.
WRITTEN = {"XADD", "HSET", "EXPIRE"}


class Reader(Connection):
    """Counts the whole commands in what a client has sent."""

    def __init__(self, data):  # pylint: disable=super-init-not-called
        self.file = io.BytesIO(data)

    def commands(self):
        found = []
        try:
            while self.file.tell() < len(self.file.getbuffer()):
                found.append(self.read())
        except (ConnectionError, ValueError):
            return None
        return found


class Watched:
    """A Redis in front of another, which notes what is asked in one go."""

    def __init__(self, redis):
        self.redis = redis
        self.trips = []
        self.proxy = FakeRedis(workdir("proxy"), self._serve)

    def __enter__(self):
        self.proxy.__enter__()
        return self

    def __exit__(self, *why):
        self.proxy.__exit__(*why)

    def _serve(self, _, connection):
        with self.redis.connect() as upstream:
            pending = b""
            while data := connection.recv(1 << 18):
                pending += data
                commands = Reader(pending).commands()
                if commands is None:
                    continue
                self.trips.append(commands)
                upstream.socket.sendall(pending)
                pending = b""
                for _ in commands:
                    connection.sendall(raw_reply(upstream))

    def decisions(self):
        """The names of what decisions asked, a list a round trip."""
        named = [[name_of(command) for command in trip] for trip in self.trips]
        asked = [[name for name in trip if name not in WRITTEN]
                 for trip in named]
        return [trip for trip in asked if trip]

    def forget(self):
        self.trips.clear()


def name_of(command):
    if command[0] != "FCALL":
        return command[0]
    name = command[1].removeprefix("smtpusers_")
    return "HSET" if name in ("keep", "refund") else name


def raw_reply(connection):
    """One reply as its bytes."""
    line = connection.file.readline()
    kind, length = line[:1], line[1:-2]
    if kind == b"$" and int(length) >= 0:
        return line + connection.file.read(int(length) + 2)
    if kind == b"*":
        return line + b"".join(raw_reply(connection)
                               for _ in range(int(length)))
    return line


@pytest.fixture
def watched(redis):
    Functions(redis)
    with Watched(redis) as proxy:
        yield proxy


@pytest.fixture
def filter_(watched):
    conf = configuration(redis=watched.proxy.url, spf="off")
    with FilterDriver(workdir("filter"), conf) as driver:
        wait_until(lambda: watched.trips, 10, "the connection")
        yield driver


@pytest.fixture
def table(watched):
    conf = configuration(redis=watched.proxy.url)
    with TableDriver(workdir("table"), conf, "7.9.0-portable") as driver:
        wait_until(lambda: watched.trips, 10, "the connection")
        yield driver


class Mail:
    """A session of the filter's, and the messages in it."""

    number = 0

    def __init__(self, driver, login=None, source=SOURCE):
        Mail.number += 1
        self.driver, self.id = driver, "%016x" % Mail.number
        driver.connect(self.id, "%s:40000" % source)
        if login is None:
            return
        credential = base64.b64encode(
            b"\0%s\0%s" % (login.encode(), PASSWORD.encode())).decode()
        self.auth = driver.ask("auth", self.id, "PLAIN " + credential)
        driver.report("link-auth", self.id, "pass", login)

    def sender(self, address="a@example.org"):
        return self.driver.ask("mail-from", self.id, address)

    def recipient(self, address="b@example.com"):
        return self.driver.ask("rcpt-to", self.id, address)

    def end(self, author="a@example.org"):
        for line in ("From: " + author, "", "x", "."):
            self.driver.send("filter|0.7|%.6f|smtp-in|data-line|%s|%016x|%s"
                             % (time.time(), self.id, 1, line))
            self.driver.line()
        return self.driver.ask("commit", self.id)

    def accepted(self):
        self.driver.report("tx-commit", self.id, "00000001", "100")


def all_users(users):
    """Every kind whose answer needs more than the record."""
    users.account("acme", "example.org", plan="pro")
    users.add("plain", PASSWORD)
    users.add("in-account", PASSWORD, domains=(), mode="all", account="acme")
    users.add("limited", PASSWORD, domains=(), mode="all", account="acme",
              quota="1000", rate="500/1h")
    users.add("listed", PASSWORD, ips=(SOURCE,), account="acme")
    users.add("long-list", PASSWORD, account="acme", rate="500/1h",
              ips=["10.%d.%d.0/24" % (i // 250, i % 250) for i in range(999)]
              + ["192.0.2.0/24"])
    return ("plain", "in-account", "limited", "listed", "long-list")


KINDS = ("plain", "in-account", "limited", "listed", "long-list")


@pytest.mark.parametrize("kind", KINDS)
def test_one_for_each_decision_of_the_filter(watched, filter_, users, kind):
    assert kind in all_users(users)
    # The first time tells what to ask for in one go.
    first = Mail(filter_, kind)
    assert (first.auth, first.sender(), first.end()) == ("proceed",) * 3
    first.accepted()
    for step in ("auth", "mail-from", "end"):
        watched.forget()
        if step == "auth":
            mail = Mail(filter_, kind)
        else:
            verdict = mail.sender() if step == "mail-from" else mail.end()
            assert verdict == "proceed"
        assert len(watched.decisions()) == 1, watched.decisions()
        if step != "auth" and kind in ("limited", "long-list"):
            wanted = "check" if step == "mail-from" else "reserve"
            assert wanted in watched.decisions()[0]


def test_a_login_that_auth_did_not_show_is_asked_once(watched, filter_, users):
    """AUTH LOGIN: the record that binds the session is that which the log
    waits for."""
    users.add("plain", PASSWORD)
    mail = Mail(filter_)
    watched.forget()
    filter_.report("link-auth", mail.id, "pass", "plain")
    wait_until(lambda: watched.redis.cli(
        "EXISTS", users.key("plain", "log")), 10, "the login")
    assert sum(watched.decisions(), []).count("HMGET") == 1
    assert mail.sender() == "proceed"


ALARMS = {kind: {"limit": 900} for kind in (
    "sources", "senders", "recipients", "volume", "blocked", "failures")}


@pytest.mark.parametrize("kind", KINDS)
def test_alarms_cost_no_trip(watched, users, kind):
    """What is counted of a message goes with it, from the first on; a login
    is counted by what nobody waits for."""
    assert kind in all_users(users)
    conf = configuration(redis=watched.proxy.url, spf="off", alarm=ALARMS)
    with FilterDriver(workdir("filter"), conf) as driver:
        mail = Mail(driver, kind)
        for count in range(3):
            assert mail.sender() == "proceed"
            wait_until(lambda: watched.redis.cli("EXISTS", users.key(
                kind, "used", "alarm", "sources")), 60, "the login")
            watched.forget()
            assert mail.end() == "proceed"
            decisions = watched.decisions()
            if count or kind == "plain":
                assert len(decisions) == 1, decisions
            assert sum(trip.count("reserve") for trip in decisions) == 1
            mail.accepted()


def test_who_has_no_alarms_pays_nothing(watched, filter_, users):
    users.add("plain", PASSWORD)
    mail = Mail(filter_, "plain")
    assert (mail.sender(), mail.end()) == ("proceed",) * 2
    names = {name_of(command) for trip in watched.trips for command in trip}
    assert not names & {"alarm", "reserve", "check"}, names


def test_one_for_an_address_that_authenticates(watched, filter_, users):
    all_users(users)
    users.ip_auth("limited", SOURCE)
    first = Mail(filter_)
    assert (first.sender(), first.end()) == ("proceed",) * 2
    first.accepted()
    mail = Mail(filter_)
    watched.forget()
    assert mail.sender() == "proceed"
    assert len(watched.decisions()) == 1, watched.decisions()
    watched.forget()
    assert mail.end() == "proceed"
    assert len(watched.decisions()) == 1, watched.decisions()


@pytest.mark.parametrize("kind", KINDS)
def test_one_for_each_answer_of_the_table(watched, table, users, kind):
    all_users(users)
    users.ip_auth(kind, SOURCE)
    for _ in range(2):
        watched.forget()
        assert table.lookup("credentials", kind).startswith("found|")
        credentials = watched.decisions()
        watched.forget()
        assert table.check("netaddr", SOURCE) == "found"
        netaddr = watched.decisions()
        watched.forget()
        assert table.check("auth", kind + ":" + PASSWORD) == "found"
        auth = watched.decisions()
    assert (len(credentials), len(netaddr), len(auth)) == (1, 1, 1)


def suppress(redis, *keys):
    for key in keys:
        redis.cli("ZADD", "smtp:%s:suppressed" % key, "+inf", "x@example.net")


@pytest.mark.parametrize("kind", KINDS)
def test_none_for_a_recipient_without_a_list(watched, filter_, users, kind):
    """Whether there is a list is asked along with MAIL FROM."""
    all_users(users)
    first = Mail(filter_, kind)
    assert first.sender() == "proceed"
    watched.forget()
    mail = Mail(filter_, kind)
    assert watched.decisions()
    watched.forget()
    assert mail.sender() == "proceed"
    trip, = watched.decisions()
    assert trip.count("ZCARD") == (1 if kind == "plain" else 2)
    watched.forget()
    for _ in range(3):
        assert mail.recipient() == "proceed"
    assert not watched.trips
    assert mail.end() == "proceed"
    assert "ZCARD" not in sum(watched.decisions(), [])


@pytest.mark.parametrize("keys", [
    ("user:{limited}",), ("account:{acme}",),
    ("user:{limited}", "account:{acme}")])
def test_one_for_a_recipient_with_lists(watched, filter_, redis, users, keys):
    all_users(users)
    suppress(redis, *keys)
    mail = Mail(filter_, "limited")
    assert mail.sender() == "proceed"
    watched.forget()
    assert mail.recipient() == "proceed"
    assert watched.decisions() == [["ZMSCORE"] * len(keys)]
    assert mail.recipient("x@example.net").startswith("reject|550 5.7.1")
    # What cannot be one of them is not asked about.
    watched.forget()
    assert mail.recipient("x@[192.0.2.1]").startswith("reject|550 5.1.3")
    assert not watched.decisions()


def test_a_wrong_guess_costs_a_trip_and_decides_nothing(watched, filter_,
                                                        users):
    users.account("acme", "example.org")
    users.account("other", "example.net")
    users.add("alice", PASSWORD, domains=(), mode="all", account="acme")
    mail = Mail(filter_, "alice")
    assert mail.sender() == "proceed"
    users.set("alice", account="other")
    watched.forget()
    assert mail.sender().startswith("reject|550 5.7.1 [ACL]")
    # And one for the reason: it might have been another address.
    assert len(watched.decisions()) == 3
    watched.forget()
    assert mail.sender("a@example.net") == "proceed"
    assert len(watched.decisions()) == 1
    # A list that grew long, and one that shrank again.
    users.ips("alice", *("198.51.%d.0/24" % i for i in range(99)))
    assert mail.sender("a@example.net").startswith("disconnect|535 5.7.8")
    users.ips("alice", "192.0.2.000/24", "192.0.2.77/24")
    watched.forget()
    assert mail.sender("a@example.net") == "proceed"
    assert len(watched.decisions()) == 2


def test_a_blocked_message_waits_for_its_report(watched, filter_, users):
    users.add("alice", PASSWORD)
    mail = Mail(filter_, "alice")
    assert mail.sender().startswith("proceed")
    watched.forget()
    assert mail.sender("a@bank.test").startswith("reject|550 5.7.1 [ACL]")
    trips = [name_of(trip[0]) for trip in watched.trips]
    assert trips.index("HSET") == len(watched.decisions())


def test_an_address_given_to_another_user(filter_, users):
    users.add("alice", PASSWORD)
    users.add("bob", PASSWORD, domains=("example.net",))
    users.ip_auth("alice", SOURCE)
    mail = Mail(filter_)
    assert mail.sender() == "proceed"
    users.ip_auth("bob", SOURCE)
    assert mail.end().startswith("reject|550 5.7.1 [ACL]")
    assert mail.sender().startswith("reject|550 5.7.1 [ACL]")
    assert mail.sender("b@example.net") == "proceed"


def test_the_room_of_the_user_before_is_not_the_next_ones(filter_, users):
    """Guessed to be alice's, whose quota has room; it is bob's, whose has
    none."""
    for name, quota in (("alice", "9"), ("bob", "1")):
        users.add(name, PASSWORD, quota=quota)
        users.ip_auth(name, SOURCE)
        mail = Mail(filter_)
        assert (mail.sender(), mail.end()) == ("proceed", "proceed")
        mail.accepted()
    users.ip_auth("alice", SOURCE)
    mail = Mail(filter_)
    assert mail.sender() == "proceed"
    users.ip_auth("bob", SOURCE)
    assert mail.sender().startswith("reject|451 4.7.1 [QUOTA]")
    users.ip_auth("alice", SOURCE)
    assert mail.sender() == "proceed"


def test_what_is_refused_gives_its_room_back(watched, filter_, redis, users):
    """Room is asked for along with the user: the refusal comes after it."""
    users.add("alice", PASSWORD, quota="3")
    counted = Functions(redis)
    mail = Mail(filter_, "alice")
    for _ in range(2):
        assert (mail.sender(), mail.end()) == ("proceed", "proceed")
        mail.accepted()
    # Blocked while under way: known only by the answer of the same trip.
    assert mail.sender() == "proceed"
    users.domains("alice", "example.net")
    watched.forget()
    assert mail.end().startswith("reject|550 5.7.1 [ACL]")
    assert "reserve" in watched.decisions()[0]
    wait_until(lambda: counted.used() == {"quota": 2}, 10, "the refund")
    # What the relay itself can refuse reserves nothing.
    users.domains("alice", "example.org")
    assert mail.sender() == "proceed"
    watched.forget()
    assert mail.end("a@[192.0.2.1]").startswith("reject|550 5.7.1 [ACL]")
    assert "reserve" not in sum(watched.decisions(), [])
    assert (mail.sender(), mail.end()) == ("proceed", "proceed")
    mail.accepted()
    assert mail.sender().startswith("reject|451 4.7.1 [QUOTA]")
