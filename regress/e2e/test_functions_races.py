# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""The Redis functions: many clients at once, and a relay that goes on."""

import random
import re
import threading

import pytest

from library import HASH, Library
from places import PATIENCE
from redisserver import ReplyError, wait_until
from session import Closed, Session, simple

pytestmark = pytest.mark.exact

PASSWORD = "Open-Sesame1"
OK = "235 2.0.0 Authentication succeeded"
REQUIRED = "530 5.7.0 Authentication required"


@pytest.fixture
def library(redis):
    return Library(redis)


def together(redis, calls):
    """Each call on a connection of its own, all at once; their replies."""
    barrier = threading.Barrier(len(calls))
    replies = [None] * len(calls)

    def run(number, function, key, *words):
        with redis.connect(timeout=PATIENCE) as connection:
            barrier.wait(PATIENCE)
            connection.send("FCALL", "smtpusers_" + function, 1, key, *words)
            replies[number] = connection.read()

    threads = [threading.Thread(target=run, args=(number, *call))
               for number, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert None not in replies
    return replies


def errors(replies):
    return [str(reply) for reply in replies if isinstance(reply, ReplyError)]


def test_one_of_many_claims_an_address(redis, library):
    key = library.address("192.0.2.7")
    names = ["user%d" % n for n in range(32)]
    for _ in range(5):
        redis.cli("FLUSHALL")
        replies = together(redis, [("ip_claim", key, name) for name in names])
        assert replies.count(1) == 1
        winner = names[replies.index(1)]
        assert redis.cli("GET", key) == winner
        assert errors(replies) == [
            "INUSE 192.0.2.7: another user has this address"] * 31


def test_one_of_many_adds_a_name(redis, library):
    key = library.user()
    for _ in range(5):
        redis.cli("FLUSHALL")
        replies = together(redis, [
            ("user_add", key, "quota", n, "domains", "d%d.example" % n)
            for n in range(16)])
        assert replies.count("added") == 1
        assert errors(replies) == ["EXISTS alice: exists already"] * 15
        won = replies.index("added")
        assert library.fields(key)["quota"] == str(won)
        assert library.members(key + ":domains") == {"d%d.example" % won}


def test_the_same_user_added_by_all(redis, library):
    words = ("password", HASH, "domains", "a.example b.example")
    replies = together(redis, [("user_add", library.user(), *words)] * 16)
    assert sorted(replies) == ["added"] + ["same"] * 15


@pytest.mark.parametrize("seed", range(5))
def test_deletion_races_with_changes(redis, library, seed):
    """Whatever comes first: no set without its user."""
    key = library.user()
    calls = [("user_domain_add", key, "b.example"),
             ("user_ip_add", key, "192.0.2.1"),
             ("user_set", key, "quota", "7", "domains", "c.example"),
             ("user_domain_rm", key, "a.example"),
             ("user_set", key, "ips", "::1"),
             ("user_ip_rm", key, "::1"), ("user_get", key),
             ("user_check", key), ("user_del", key), ("user_del", key)] * 2
    random.Random(seed).shuffle(calls)
    for _ in range(5):
        assert library.call("user_add", key, "password", HASH, "domains",
                            "a.example") == "added"
        replies = together(redis, calls)
        deleted = [reply for call, reply in zip(calls, replies)
                   if call[0] == "user_del"]
        assert sorted(deleted) == [0, 0, 0, 1]
        assert set(errors(replies)) <= {"NOUSER alice: no such user"}
        assert library.keys() == set()


@pytest.mark.parametrize("seed", range(5))
def test_deletion_races_with_puts(redis, library, seed):
    """A user that is there in the end is one of those that were put, whole."""
    key = library.user()
    calls = [("user_put", key, "quota", n, "description", "u%d" % n, "domains",
              "d%d.example" % n, "ips", "192.0.2.%d" % n)
             for n in range(12)] + [("user_del", key)] * 4
    random.Random(seed).shuffle(calls)
    replies = together(redis, calls)
    assert not errors(replies)
    assert replies.count("added") == replies.count(1) + bool(
        library.keys())
    if library.keys():
        number = library.fields(key)["quota"]
        assert library.fields(key)["description"] == "u" + number
        assert library.members(key + ":domains") == {
            "d%s.example" % number}
        assert library.members(key + ":ips") == {"192.0.2." + number}


def test_one_put_wins_whole(redis, library):
    key = library.user()
    replies = together(redis, [
        ("user_put", key, "quota", n, "rate", "%d/1h" % (n + 1), "domains",
         "a%d.example b%d.example" % (n, n)) for n in range(32)])
    assert sorted(replies) == ["added"] + ["changed"] * 31
    number = int(library.fields(key)["quota"])
    assert library.fields(key)["rate"] == "%d/1h" % (number + 1)
    assert library.members(key + ":domains") == {
        "a%d.example" % number, "b%d.example" % number}


def test_claims_and_releases_keep_one_owner(redis, library):
    key = library.address("::1")
    names = ["user%d" % n for n in range(8)]
    for _ in range(5):
        replies = together(redis, [
            (function, key, name) for name in names
            for function in ("ip_claim", "ip_release")])
        claimed = [name for n, name in enumerate(names)
                   if replies[2 * n] in (0, 1)]
        owner = redis.cli("GET", key)
        assert claimed and (owner is None or owner in claimed)
        for name in names:
            library.call("ip_release", key, name)
        assert library.keys() == set()


# A relay that goes on

class Loop:
    """Does one thing again and again, from a thread."""

    def __init__(self, step):
        self.step = step
        self.stopping = threading.Event()
        self.count = 0
        self.failure = None
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            while not self.stopping.is_set():
                self.step()
                self.count += 1
        except BaseException as failure:
            self.failure = failure

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        if self.failure:
            raise self.failure


@pytest.mark.parametrize("round_", range(3))
def test_no_login_succeeds_once_the_user_is_deleted(relay, users, library,
                                                    round_):
    """Logins begin before the deletion and end behind it."""
    users.add("alice", PASSWORD)
    deleted = threading.Event()
    late, replies = [], []

    def login():
        with Session(relay) as session:
            began_late = deleted.is_set()
            reply = session.plain("alice", PASSWORD)
            replies.append(reply)
            if began_late and reply == OK:
                late.append(reply)
            if reply == OK and deleted.is_set():
                assert session.mail() == REQUIRED

    with Loop(login) as one, Loop(login) as two:
        wait_until(lambda: one.count + two.count > 3 + round_, 60,
                   "logins to succeed")
        assert library.call("user_del", library.user()) == 1
        deleted.set()
        done = one.count + two.count
        wait_until(lambda: one.failure or two.failure or
                   one.count + two.count > done + 2, 60,
                   "logins after the deletion")
    assert not late
    assert OK in replies and replies[-1].startswith("535")
    assert not library.keys() & {library.user(), library.user("alice", "ips"),
                                 library.user("alice", "domains")}


def test_no_message_is_accepted_once_the_user_is_deleted(relay, users, sink,
                                                         library):
    users.add("alice", PASSWORD)
    with Session(relay) as session, Session(relay) as other:
        for one in (session, other):
            assert one.plain("Alice", PASSWORD) == OK
        assert session.message("before").startswith("250")
        sink.wait_for(b"before")
        assert other.mail().startswith("250")
        assert other.rcpt().startswith("250")
        assert other.command("DATA").startswith("354")
        assert library.call("user_del", library.user()) == 1
        assert session.mail() == REQUIRED
        assert re.match(r"550 5\.7\.1 \[ACL\] ",
                        other.finish(simple("under-way")))
        assert other.mail() == REQUIRED
    users.add("zoe", "Last-Word-33")
    with Session(relay) as session:
        assert session.plain("zoe", "Last-Word-33") == OK
        assert session.message("behind").startswith("250")
    sink.wait_for(b"behind")
    assert not [m for m in sink.messages if b"under-way" in m.data]


def test_messages_race_with_the_deletion(relay, users, sink, library):
    """What was accepted is delivered, and nothing is accepted behind."""
    users.add("alice", PASSWORD)
    deleted = threading.Event()
    accepted, late = [], []
    session = Session(relay)
    assert session.plain("alice", PASSWORD) == OK

    def send():
        mark = "race-%d-" % len(accepted)
        behind = deleted.is_set()
        try:
            reply = session.message(mark)
        except Closed:
            deleted.wait()
            return
        if reply.startswith("250"):
            accepted.append(mark)
            if behind:
                late.append(reply)
        else:
            session.command("RSET")

    with Loop(send) as loop:
        wait_until(lambda: len(accepted) > 5, 60, "messages to be accepted")
        assert library.call("user_del", library.user()) == 1
        deleted.set()
        done = loop.count
        wait_until(lambda: loop.failure or loop.count > done + 3, 60,
                   "messages behind the deletion")
    session.drop()
    assert not late
    for mark in accepted:
        sink.wait_for(mark.encode())
