# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Failed logins: a source that guesses is refused before it can try again."""

import socket
import time

import pytest

from library import Library
from linedriver import FilterDriver
from places import PATIENCE, configuration, slack, workdir
from redisserver import ReplyError, wait_until
from session import Session

PASSWORD = "Open-Sesame1"
OK = "235 2.0.0 Authentication succeeded"
MANY = "421 4.7.0 Too many failed logins, try again later"
AWAY = "421 4.3.0 Temporary failure"


def guess(relay, times, source="127.0.0.1", name="alice"):
    """Wrong passwords in one session, each a failure."""
    with Session(relay, source=source) as session:
        for _ in range(times):
            assert session.plain(name, "wrong").startswith("535")


def greeting(relay, source="127.0.0.1"):
    """The first line that smtpd says."""
    host = "::1" if ":" in source else "127.0.0.1"
    with socket.create_connection((host, relay.submission), PATIENCE,
                                  (source, 0)) as client:
        return client.makefile().readline().rstrip()


def is_refused(relay, source="127.0.0.1"):
    return greeting(relay, source) == MANY


def refused(relay, source="127.0.0.1"):
    wait_until(lambda: is_refused(relay, source), 20, source)


def test_a_source_that_guesses_is_refused(new_relay, users):
    relay = new_relay(auth_failures="3/1h")
    users.add("alice", PASSWORD)
    guess(relay, 2)
    guess(relay, 1, name="nobody")
    refused(relay)
    assert greeting(relay, "127.0.0.2").startswith("220")
    with Session(relay, source="127.0.0.2") as session:
        assert session.plain("alice", PASSWORD) == OK
        assert session.message().startswith("250")


def test_every_relay_refuses(new_relay, users):
    relays = [new_relay(auth_failures="3/1h") for _ in range(2)]
    users.add("alice", PASSWORD)
    guess(relays[0], 3)
    refused(relays[1])


def test_it_is_logged_once(new_relay, users):
    relay = new_relay(auth_failures="2/1h")
    users.add("alice", PASSWORD)
    guess(relay, 2)
    refused(relay)
    for _ in range(5):
        assert is_refused(relay)
    assert relay.log().count('connect refused: user=- source=127.0.0.1 '
                             'reply="%s"' % MANY) == 1


def test_an_ipv6_network_is_one_source(new_relay, redis, users):
    relay = new_relay(auth_failures="2/1h")
    users.add("alice", PASSWORD)
    guess(relay, 2, "::1")
    refused(relay, "::1")
    assert redis.cli("KEYS", "smtp:failures:*") == ["smtp:failures:{::/64}"]


def test_open_sessions_go_on(new_relay, users):
    """Who is refused is who comes; and a right login undoes no failures."""
    relay = new_relay(auth_failures="2/1h")
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        guess(relay, 8)
        refused(relay)
        assert session.message().startswith("250")


def test_a_known_source_is_refused_later(new_relay, redis, users):
    relay = new_relay(auth_failures="2/1h")
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
    wait_until(lambda: redis.cli("KEYS", "smtp:failures:*"), 10, "login")
    guess(relay, 7)
    wait_until(lambda: redis.cli("EXISTS", "smtp:failures:{127.0.0.1}"), 10,
               "failures")
    assert greeting(relay).startswith("220")
    guess(relay, 1)
    refused(relay)


def test_without_a_redis_nobody_is_let_in(new_relay, redis, users):
    relay = new_relay(auth_failures="2/1h", redis_timeout=500)
    redis.kill()
    assert greeting(relay) == AWAY
    redis.start()
    wait_until(lambda: greeting(relay).startswith("220"), 20, "redis")


def test_a_redis_that_hangs_is_not_waited_for(new_relay, redis, users):
    relay = new_relay(auth_failures="2/1h", redis_timeout=500)
    redis.pause()
    try:
        before = time.monotonic()
        assert greeting(relay) == AWAY
        assert time.monotonic() - before < slack(10)
    finally:
        redis.resume()


@pytest.mark.parametrize("key", ["failures:{127.0.0.1}",
                                 "failures:{127.0.0.1}:known"])
def test_a_key_of_the_wrong_type_is_logged_once(new_relay, redis, users, key):
    relay = new_relay(auth_failures="2/1h")
    redis.cli("HSET", "smtp:" + key, "a", "b")
    for _ in range(3):
        assert greeting(relay) == AWAY
    said = "smtp:failures:{127.0.0.1}: this or smtp:failures:{127.0.0.1}:known "
    assert relay.log().count(said + "has the wrong type") == 1
    redis.cli("DEL", "smtp:" + key)
    assert greeting(relay).startswith("220")


@pytest.mark.parametrize("failures, registers", [("", False), ("5/1m", True)])
def test_who_does_not_ask_for_it_pays_nothing(redis, failures, registers):
    conf = configuration(redis=redis.url, auth_failures=failures)
    with FilterDriver(workdir("filter"), conf) as driver:
        assert driver.registers("filter", "connect") == registers


# The function, by its answers

KEYS = ("smtp:failures:{192.0.2.1}", "smtp:failures:{192.0.2.1}:known")


@pytest.fixture
def counter(redis):
    library = Library(redis)

    def call(function, *args):
        return redis.cli("FCALL", "smtpusers_" + function, 2, *KEYS, *args)
    call.redis = library.redis
    return call


def test_room_comes_back(counter):
    """20 in 10 s: one each half second."""
    for _ in range(20):
        assert counter("failures", 20, 10) == 0
        counter("login_failed", 20, 10)
    assert counter("failures", 20, 10) == 1
    wait_until(lambda: counter("failures", 20, 10) == 0, 5, "room")


def test_no_more_than_a_period(counter):
    for _ in range(100):
        counter("login_failed", 2, 60)
    assert 60 < counter("failures", 2, 60) <= 90
    assert 0 < counter.redis.cli("PTTL", KEYS[0]) <= 120000


@pytest.mark.parametrize("value", ["", "x", "-5", "1e99", "9" * 400, "nan"])
def test_what_cannot_be_read_is_many(counter, value):
    counter.redis.cli("SET", KEYS[0], value)
    assert counter("failures", 20, 600) > 0
    counter("login_failed", 20, 600)
    assert 0 < counter("failures", 20, 600) <= 630


@pytest.mark.parametrize("args", [(), ("0", "60"), ("x", "60"), ("5", "0"),
                                  ("5",), ("-5", "60"), ("nan", "60"),
                                  ("5", "60", "7")])
def test_bad_arguments(counter, args):
    for function in ("failures", "login_failed", "login_passed"):
        with pytest.raises(ReplyError):
            counter(function, *args)
