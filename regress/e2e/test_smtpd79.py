# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What smtpd 7.9 does differently: it leaves passwords as they were typed, so
it may ask the table to verify them."""

import bisect
import itertools
import threading
import time

import pytest

import test_deliveries
from redisserver import wait_until
from session import FORMS, Session, together
from users import MADE, crypt

pytestmark = pytest.mark.smtpd79

OK = "235 2.0.0 Authentication succeeded"
FAILED = "535 Authentication failed"
UNLISTED = "535 5.7.8 IP not authorized"
REQUIRED = "530 5.7.0 Authentication required"
PASSWORD = "MixedCase: p|w Ü1"


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "smtps"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scheme", ["$2b$", "$6$", "$y$"])
def test_auth(relay, users, sink, form, implicit, scheme):
    users.add("alice", PASSWORD, scheme)
    mark = "%s-%s-%s" % (form, implicit, scheme.strip("$"))
    with Session(relay, implicit=implicit) as session:
        assert FORMS[form](session, "Alice", PASSWORD.lower()) == FAILED
        assert FORMS[form](session, "Alice", PASSWORD) == OK
        assert session.message(mark).startswith("250")
    sink.wait_for(mark.encode())


def test_smtpd_asks_the_table_to_verify(new_relay, users):
    """With a short password: this smtpd is told to log what it asks."""
    relay = new_relay(start=False)
    relay.trace = ["-T", "lookup"]
    relay.start()
    users.add("alice", "MiX7")
    with Session(relay) as session:
        assert session.login("alice", "MiX7") == OK
    assert "AUTH" in [line for line in relay.log().splitlines()
                      if "alice:MiX7" in line][0].upper()


@pytest.mark.parametrize("form", FORMS)
def test_blocked_changed_and_deleted_count_at_once(relay, users, form):
    """Each by another name, since one that nobody has is remembered."""
    name = "alice-" + form

    def reply(password):
        with Session(relay) as session:
            return FORMS[form](session, name, password)
    users.add(name, PASSWORD)
    assert reply(PASSWORD) == OK
    users.block(name)
    assert reply(PASSWORD) == FAILED
    users.set(name, status="allowed")
    users.password(name, "Another-Word2")
    assert reply(PASSWORD) == FAILED
    assert reply("Another-Word2") == OK
    users.delete(name)
    assert reply("Another-Word2") == FAILED


def test_sources(relay, users):
    users.add("alice", PASSWORD, ips=["127.0.0.2"])
    users.add("printer")
    users.ip_auth("printer", "::1")
    with Session(relay, "127.0.0.3") as session:
        assert session.plain("alice", "wrong-word") == FAILED
        assert session.plain("alice", PASSWORD) == UNLISTED
        assert session.login("alice", PASSWORD) == OK
        assert session.mail() == UNLISTED
        assert session.closed()
    with Session(relay, "::1") as session:
        assert session.message().startswith("250")
    with Session(relay, "127.0.0.3") as session:
        assert session.mail() == REQUIRED


def test_lines_in_a_name_stop_nothing(relay, users):
    users.add("alice", PASSWORD)
    name = "x\ntable|0.1|1.0|users|check|auth|deadbeef|alice:" + PASSWORD
    for form in FORMS.values():
        with Session(relay) as session:
            assert not form(session, name, PASSWORD).startswith("2")
        with Session(relay) as session:
            assert session.plain("alice", PASSWORD) == OK


def test_redis_away(relay, users, redis):
    users.add("alice", PASSWORD)
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == OK
        redis.pause()
        assert session.mail() == "451 4.3.0 Temporary failure"
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD) == \
            "421 4.3.0 Temporary failure"


CLIENTS, TRIES = 16, 12


def opened(relay, count):
    """Numbered sessions, one after another: smtpd's queue of those that it has
    not accepted yet is short."""
    return [(number, Session(relay)) for number in range(count)]


def reply_times(relay, names):
    """By name: the seconds that so many different wrong passwords take, the
    names by turns."""
    def client(number, session):
        taken = []
        with session:
            for nth, name in itertools.product(range(TRIES), names):
                began = time.monotonic()
                assert session.login(name, "wrong-%d-%d" % (
                    number, nth)) == FAILED
                taken.append((name, time.monotonic() - began))
        return taken
    rows = together(client, opened(relay, CLIENTS), CLIENTS)
    return {name: sorted(took for row in rows for which, took in row
                         if which == name) for name in names}


def histogram(taken):
    """How many fell into each tenth of smtpd's pause, and beyond."""
    counts = [0] * 11
    for took in taken:
        counts[min(int(took * 10), 10)] += 1
    return " ".join("%3d" % count for count in counts)


def distance(one, other):
    """How far two distributions are apart, by Kolmogorov and Smirnov."""
    return max(abs(bisect.bisect_right(one, at) / len(one)
                   - bisect.bisect_right(other, at) / len(other))
               for at in one + other)


def test_the_pause_hides_who_is_there(new_relay, users):
    """smtpd answers a wrong password after up to a second, at random; next to
    that, a hash of the kind that the command makes is not seen."""
    users.set("alice", password=crypt(PASSWORD, *MADE), status="allowed")
    users.secret(PASSWORD)
    times = reply_times(new_relay(redis_timeout=5000), ["alice", "nobody"])
    for name, taken in times.items():
        print("%-6s %s" % (name, histogram(taken)))
    # By chance it is more than that once in a thousand times.
    by_chance = 1.95 * (2 / (CLIENTS * TRIES)) ** 0.5
    assert distance(*times.values()) < by_chance
    # A fourth of a second more, which the pause does not hide, would be seen.
    later = [took + 0.25 for took in times["nobody"]]
    assert distance(times["nobody"], later) > by_chance


def test_guesses_at_one_keep_nobody_else_out(new_relay, users):
    """Nor the one who is guessed at, with a password that was right before."""
    relay = new_relay(redis_timeout=5000)
    for name in ("alice", "bob", "carol"):
        users.add(name, PASSWORD)
        users.set(name, password=crypt(PASSWORD, "$2b$", 8))
    ended = threading.Event()
    refused = []

    def guess(number, session):
        with session:
            for nth in itertools.count():
                if ended.is_set():
                    return
                reply = session.login("alice", "wrong-%d-%d" % (number, nth))
                assert not reply.startswith("2")
                refused.append(reply)

    with Session(relay) as bob, Session(relay) as alice:
        assert alice.login("alice", PASSWORD) == OK
        assert bob.login("bob", PASSWORD) == OK
        threads = [threading.Thread(target=guess, args=one)
                   for one in opened(relay, 32)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: len(refused) > 400, 60, "many guesses")
            assert bob.mail().startswith("250")
            for name in ("carol", "alice"):
                with Session(relay) as session:
                    assert session.login(name, PASSWORD) == OK
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    assert set(refused) == {FAILED}


# What it reports of next hops is the same.
relaying = test_deliveries.relaying
test_an_alarm_of_failed_deliveries = test_deliveries.test_block
test_which_deliveries_count = test_deliveries.test_what_counts
