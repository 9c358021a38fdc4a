# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The Redis functions with long lists and with hostile ones: nobody else waits
long for Redis, and what is found out quickly is what is found out slowly."""

import ipaddress
import random
from pathlib import Path

import pytest

from library import HASH, Library
from test_functions_values import each, ipv6_long, reference, sparse

MANY = 10000
# Seconds of the processor, many times what is needed.
MOST = 1.5

HOSTILE = {
    "letters": lambda n: "%05d" % n + "a" * 1019,
    "two bytes": lambda n: "%05d" % n + "ü" * 509,
    "ideographs": lambda n: "%05d" % n + "".join(
        chr(0x4e00 + (m * 97 + n) % 20000) for m in range(339)),
    "short ideographs": lambda n: "%05d" % n + "".join(
        chr(0x4e00 + (m * 97 + n) % 20000) for m in range(80)),
    "no UTF-8": lambda n: b"%05d" % n + b"\xff" * 1019,
    "controls": lambda n: b"%05d" % n + b"\x01" * 1019,
    "short controls": lambda n: b"%05d" % n + b"\x01" * 250,
    "dots": lambda n: "%05d" % n + ".a" * 509,
    "A-labels": lambda n: ".".join(
        "xn--" + ("%05dbcdfghjklmnpq" % (n + m)) * 2 + "z1y2x3w4"
        for m in range(4)),
    "colons": lambda n: "%05x" % n + ":" * 44,
}


@pytest.fixture
def library(redis):
    return Library(redis)


@pytest.fixture
def alice(library):
    key = library.user()
    library.call("user_add", key, "password", HASH)
    return key


class Clock:
    """The seconds that the main thread of the server has run for."""

    def __init__(self, server):
        self.path = Path("/proc/%d/task/%d/schedstat" % (
            server.pid, server.pid))
        self.begin = self.now()

    def now(self):
        return int(self.path.read_text().split()[0]) / 1e9

    def spent(self):
        return self.now() - self.begin


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_members(library, alice, kind):
    members = [HOSTILE[kind](n) for n in range(MANY)]
    account = library.account()
    library.call("account_add", account)
    for key in (alice + ":domains", alice + ":ips", account + ":domains"):
        library.redis.cli("SADD", key, *members)
    for function, key in (("user_get", alice), ("user_check", alice),
                          ("account_get", account)):
        clock = Clock(library.redis)
        library.call(function, key)
        assert clock.spent() < MOST, function
    view = library.get(alice)
    assert view["domain_count"] == view["ip_count"] == MANY
    assert 450 < len(view["domains"]) < 550
    assert 450 < len(view["ips"]) < 550


def test_hostile_fields(library, alice):
    for n in range(MANY):
        library.redis.cli("HSET", alice, "f%d" % n, b"\xff" * 1019)
    clock = Clock(library.redis)
    library.call("user_get", alice)
    library.call("user_check", alice)
    assert clock.spent() < MOST


@pytest.mark.parametrize("text", [
    "ü" * 500 + ".example", "".join(map(chr, range(0x4e00, 0x4f50))) + ".de",
    ".".join(["日" * 59] * 5), "xn--" + "a" * 1000 + ".example"])
def test_a_hostile_domain(library, alice, text):
    clock = Clock(library.redis)
    for _ in range(100):
        library.refuses("INVALID", "user_domain_add", alice, text)
        assert library.call("user_domain_rm", alice, text) == 0
    assert clock.spent() < MOST


def test_odd_members_are_shown_as_they_are_but_not_all(library, alice):
    odd = ["%03d" % n + "é" * 200 for n in range(200)]
    library.redis.cli("SADD", alice + ":ips", *odd)
    shown = library.get(alice)["ips"]
    assert len(shown) == len(odd)
    exact = [text for text in shown if text in odd]
    assert exact == odd[:len(exact)]
    assert 50 < len(exact) < 200
    assert set(shown[len(exact):]) == {
        text[:3] + "\ufffd..." for text in odd[len(exact):]}


def test_where_there_are_more_a_labels_than_are_decoded(library, alice):
    """Those are not complained of; what needs no decoding is."""
    good = ["xn--bcher-kva.d%d.example" % n for n in range(450)]
    library.call("user_domain_add", alice, *good)
    assert library.call("user_check", alice) == []
    library.redis.cli("SADD", alice + ":domains", "Z.example", "x_.example")
    assert len(library.call("user_check", alice)) == 2


@pytest.mark.parametrize("make", ids=["addresses", "networks", "IPv4"],
                         argvalues=[
    lambda n: "2001:db8:1:2:%x:%x:3:4" % ((n >> 8) + 1, (n & 255) + 1),
    lambda n: "2001:db8:%x:%x::/64" % ((n >> 8) + 1, (n & 255) + 1),
    lambda n: "10.1.%d.%d" % (n >> 8, n & 255)])
def test_the_longest_lists(library, alice, make):
    ranges = [make(n) for n in range(65536)]
    some = [ranges[start:start + 1500] for start in range(0, 65536, 1500)]
    calls = [*[("user_ip_add", *part) for part in some],
             ("user_ip_add", *some[0]), ("user_get",), ("user_check",),
             ("user_ip_rm", "::1"), ("user_ip_rm", *some[0][1:]),
             *[("user_ip_rm", *part) for part in some[1:]]]
    for function, *words in calls:
        clock = Clock(library.redis)
        library.call(function, alice, *words)
        assert clock.spent() < MOST, function
    assert library.members(alice + ":ips") == {ranges[0]}


@pytest.mark.parametrize("seed", range(3))
def test_canonical_texts_are_known_at_once_only_where_they_are(library, seed):
    """Texts that are nearly canonical."""
    rng = random.Random(seed)
    texts = []
    for _ in range(4000):
        text = ":".join(rng.choice(["", "0", "0", "1", "a", "db8", "ffff",
                                    "0a", "12345", "A"])
                        for _ in range(rng.randint(2, 9)))
        texts.append(text + rng.choice(["", "", "/64", "/48", "/128", "/127",
                                        "/0", "/016", "/33", "/129"]))
        texts.append(".".join(str(rng.choice([0, 1, 25, 255, 256, "01", ""]))
                              for _ in range(rng.choice([4, 4, 4, 3, 5]))))
    for number in range(1000):
        address = ipaddress.IPv6Address(sparse(rng))
        texts.append(str(address))
        texts.append(ipv6_long(address).replace(":0000", ":0"))
        texts.append("%s/%d" % (address, rng.randint(0, 128)))
    results = each(library, "range", texts)
    assert sum(result == text for text, result in zip(texts, results)) > 900
    for text, result in zip(texts, results):
        assert result == reference(text), text
