# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What a call of the Redis functions takes at most: while one runs, nobody
else is answered. Measured is the processor's time of the server's one thread,
with the largest input that each function accepts."""

import json

import pytest

from library import HASH, Library, pairs
from redisserver import ReplyError
from test_functions_long import Clock

MOST = 0.020
# The lowest of several, for the machine may do something else meanwhile.
ROUNDS = 7

MEMBERS, BYTES = 2500, 81920


def fill(make, members=MEMBERS, size=BYTES):
    """As many words as a call takes."""
    words, left = [], size
    for n in range(members):
        word = make(n)
        left -= len(word.encode()) + 1
        if left < 200:
            break
        words.append(word)
    return words


DOMAINS = {
    "plain": lambda n: "d%d.customer.example" % n,
    "upper case": lambda n: "D%d.Customer.Example" % n,
    "one label": lambda n: "a" * 50 + "%05d.example" % n,
    "many labels": lambda n: "a." * 120 + "b%d" % n,
    "long": lambda n: ".".join(["a%05d" % n + "b" * 57] * 3 + ["c" * 59]),
    "A-labels": lambda n: "xn--e1afmkfd%s.example" % chr(97 + n % 26) * 1
    if n < 26 else "xn--bcher-kva.d%d.example" % n,
    "long A-labels": lambda n: ".".join(
        ["xn--" + "bcdefghijk"[n % 10] * 55] * 3 + ["d%d" % n]),
    "hyphens": lambda n: "a" + "-" * 50 + "%05d.example" % n,
}
RANGES = {
    "IPv4": lambda n: "10.1.%d.%d" % (n >> 8, n & 255),
    "networks": lambda n: "10.%d.%d.0/24" % (n >> 8, n & 255),
    "host bits": lambda n: "10.%d.%d.1/24" % (n >> 8, n & 255),
    "IPv6": lambda n: "2001:db8:1:2:%x:%x:3:4" % ((n >> 8) + 1,
                                                  (n & 255) + 1),
    "odd IPv6": lambda n: "[2001:DB8:0:0:%x:0:0:0.0.%d.%d]/128" % (
        n & 7, n >> 8, n & 255),
}


@pytest.fixture
def library(redis):
    return Library(redis)


@pytest.fixture
def alice(library):
    key = library.user()
    library.call("user_add", key, "password", HASH)
    return key


def least(library, call, before=lambda: None):
    """The time of a call, whose state is made anew for each round."""
    times = []
    for _ in range(ROUNDS):
        before()
        clock = Clock(library.redis)
        call()
        times.append(clock.spent())
    print("%.1f ms" % (min(times) * 1000))
    return min(times)


def swallow(library, *words):
    try:
        library.redis.cli("FCALL", *words)
    except ReplyError as error:
        assert str(error).startswith("INVALID ")


@pytest.mark.parametrize("kind", DOMAINS)
@pytest.mark.parametrize("function", ["user_domain_add", "user_domain_rm",
                                      "user_set", "canonical"])
def test_domains(library, alice, function, kind):
    domains = fill(DOMAINS[kind])
    if function == "canonical":
        words = fill(DOMAINS[kind], MEMBERS // 2, BYTES - 20000)
        words = [word for domain in words for word in ("domain", domain)]
        call = lambda: swallow(library, "smtpusers_canonical", 0, *words)
    else:
        words = domains if function != "user_set" else (
            "domains", " ".join(domains))
        call = lambda: swallow(library, "smtpusers_" + function, 1, alice,
                               *words)

    def before():
        library.redis.cli("DEL", alice + ":domains")
        if function == "user_domain_rm":
            library.redis.cli("SADD", alice + ":domains", *domains)
        elif function == "user_set":
            library.redis.cli("SADD", alice + ":domains",
                              *["x%d.example" % n for n in range(MEMBERS)])

    assert least(library, call, before) < MOST


@pytest.mark.parametrize("kind", RANGES)
@pytest.mark.parametrize("function", ["user_ip_add", "user_ip_rm",
                                      "user_set", "canonical"])
@pytest.mark.parametrize("held", [1000, 60000])
def test_ranges(library, alice, function, kind, held):
    ips = alice + ":ips"
    ranges = fill(RANGES[kind])
    if function == "canonical":
        words = fill(RANGES[kind], MEMBERS // 2, BYTES - 20000)
        words = [word for entry in words for word in ("range", entry)]
        call = lambda: swallow(library, "smtpusers_canonical", 0, *words)
    else:
        words = ranges if function != "user_set" else (
            "ips", " ".join(ranges))
        call = lambda: swallow(library, "smtpusers_" + function, 1, alice,
                               *words)

    def before():
        library.redis.cli("DEL", ips)
        library.redis.cli("SADD", ips, *["[2001:DB8::%x:%x]/128" % (
            n >> 16, n & 65535) for n in range(held)])

    assert least(library, call, before) < MOST


@pytest.mark.parametrize("word", [
    "\u0430" * 120, "é." * 80, "a." * 60000, "\xff" * 80000, "xn--" * 40000])
@pytest.mark.parametrize("function", ["user_domain_add", "user_set",
                                      "account_put"])
def test_what_is_refused_costs_little(library, alice, function, word):
    """Also for a record that is not there."""
    words = fill(lambda n: "%d%s" % (n, word))
    for key in (alice, library.user("eve"), library.account()):
        given = words if function == "user_domain_add" else (
            "domains", " ".join(words))
        if function.startswith("account") == ("account:" in key) and words:
            assert least(library, lambda: pytest.raises(
                ReplyError, library.call, function, key, *given)) < MOST


def many(library, count=4000, **more):
    """Users with all there is, as a panel may write them."""
    with library.redis.connect() as connection:
        for n in range(count):
            key = library.user("u%d" % n)
            commands = [
                ("HSET", key, *pairs(
                    password=HASH, account="acme", mode="all", quota="100",
                    status="allowed", rate="1/1s 10/1m 100/1h 1000/1d",
                    ip_auth="192.0.%d.%d" % (n >> 8, n & 255),
                    description="x" * 100)),
                ("SADD", key + ":domains",
                 *["d%d.example" % m for m in range(more.get("sets", 5))]),
                ("SADD", key + ":ips", *["2001:DB8::%x/64" % m for m in range(
                    more.get("sets", 5))]),
                ("HSET", key + ":last", "login", "2026-11-21T08:39:29Z"),
                ("SET", library.address("192.0.%d.%d" % (n >> 8, n & 255)),
                 "u%d" % n)]
            for command in commands:
                connection.send(*command)
            for _ in commands:
                connection.read()


PAGES = {
    "list": ("fields", "status mode account ip_auth last_login last_message "
             "ip_count domain_count used created"),
    "account": ("account", "acme", "fields", "status mode account ip_auth"),
    "domain": ("domain", "d1.example", "fields", "status mode account"),
    "export": ("fields", "password account mode status quota quota_period "
               "rate ip_auth description created domains ips"),
    "check": ("fields", "problems warnings claim wrong account mode status"),
}


COLUMNS = ("last_login last_message used domain_count ip_count "
           "suppressed_count domains ips problems warnings claim "
           "wrong").split()


@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("sets", [5, 90])
def test_pages(library, kind, sets):
    many(library, 2500, sets=sets)
    assert least(library, lambda: library.redis.cli(
        "FCALL_RO", "smtpusers_page", 0, "smtp:", "user", 0,
        *PAGES[kind])) < MOST
    assert least(library, lambda: library.redis.cli(
        "FCALL_RO", "smtpusers_strays", 0, "smtp:", 0, 100)) < MOST
    keys = [library.user("u%d" % n) for n in range(100)]
    assert least(library, lambda: library.redis.cli(
        "FCALL_RO", "smtpusers_rows", len(keys), *keys, "user",
        *PAGES[kind])) < MOST


def buckets(numbers, words=16):
    """A counter with as much in it as may be."""
    bucket = ":1" * numbers
    return "1 1 1" + "".join(" %d%s" % (n, bucket)
                             for n in range(1, words + 1))


# What the owner of a record may write into it, or beside it.
HOSTILE = {
    "counters": ((), [("SET", ":used:rate", buckets(770))]),
    "long counters": ((), [("SET", ":used:rate", "1 1 1" + " 1:1" * 100000),
                           ("SET", ":used:quota", "1" * 400000)]),
    "long buckets": ((), [("SET", ":used:rate", buckets(10000))]),
    "rates": (("rate", " ".join("%d/1s" % n for n in range(1, 4000))), []),
    "sender rates": (("sender_rate", " ".join(
        "%d/1s" % n for n in range(1, 4000))), []),
    "fields": (("mode", "x" * 200, "account", "\xff" * 200, "max_size",
                "1" * 10000, "created", "x" * 10000, "alarms",
                "sources=1/1h " * 100, "password", "$y$j" + "x" * 379,
                "ip_auth", "1.2.3.4" * 20, "blocked_at", "x" * 10000), []),
    "sets": ((), [("SADD", ":ips", *["%d" % n + "x" * 40
                                     for n in range(25)]),
                  ("SADD", ":domains", *["%d" % n + "\xff" * 200
                                         for n in range(25)])]),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_pages_of_hostile_records(library, kind):
    """Every column of users who hold what costs the most."""
    fields, commands = HOSTILE[kind]
    keys = [library.user("u%d" % n) for n in range(100)]
    for key in keys:
        library.redis.cli("HSET", key, *pairs(
            password=HASH, quota="5", rate="1/1s 1/2s 1/3s 1/4s 1/5s 1/6s "
            "1/7s 1/8s", restricted="1"), *fields)
        for command, suffix, *words in commands:
            library.redis.cli(command, key + suffix, *words)
    schema = json.loads(library.redis.cli(
        "FCALL_RO", "smtpusers_describe", 0))
    names = [row["name"] for row in schema["kinds"]["user"]["fields"]]
    call = lambda: library.redis.cli(
        "FCALL_RO", "smtpusers_rows", len(keys), *keys, "user", "status",
        "allowed", "fields", " ".join([*names, *COLUMNS]))
    rows = call()
    assert [row[0] for row in rows] == ["u%d" % n for n in range(100)]
    assert least(library, call) < MOST


def test_nothing_is_asked_twice_of_a_row(library, alice):
    for words in (("fields", " ".join(["problems"] * 9000)),
                  ("fields", "mode mode"),
                  *[(name, value, "fields", "mode", name, value)
                    for name, value in (("domain", "a.example"),
                                        ("mode", "default"),
                                        ("given", "password"))]):
        def call():
            with pytest.raises(ReplyError, match="INVALID .*named twice"):
                library.redis.cli("FCALL_RO", "smtpusers_rows", 1, alice,
                                  "user", *words)
        assert least(library, call) < MOST


@pytest.mark.parametrize("function", ["user_add", "user_put"])
@pytest.mark.parametrize("domains", [1, 19])
def test_imports(library, function, domains):
    keys, words = [], []
    for n in range(100):
        fields = pairs(
            password=HASH, account="acme", mode="all", status="allowed",
            quota="100", quota_period="1d", rate="10/1m 100/1h",
            ip_auth="192.0.2.%d" % n, description="somebody", domains=" ".join(
                "d%d.example" % m for m in range(domains)),
            ips="192.0.2.%d 10.%d.0.0/16" % (n, n))
        keys.append(library.user("u%d" % n))
        words += [str(len(fields)), *fields]
    library.call("account_put", library.account())
    call = lambda: library.redis.cli("FCALL", "smtpusers_import", len(keys),
                                     *keys, function, *words)
    assert set(call()) == {"added"}
    assert least(library, call) < MOST

    def before():
        library.redis.cli("FLUSHDB")

    assert least(library, call, before) < MOST


@pytest.mark.parametrize("sets", [("domains",), ("domains", "ips")])
def test_imports_that_replace(library, sets):
    """So many at the most; the others are told to come by another call."""
    domains = ["d%d.example" % n for n in range(MEMBERS)]
    ranges = ["10.1.%d.%d" % (n >> 8, n & 255) for n in range(MEMBERS)]
    keys, words = [], []
    for n in range(100):
        keys.append(library.user("u%d" % n))
        fields = pairs(**{name: "x.example" if name == "domains" else "::1"
                          for name in sets})
        words += [str(len(fields)), *fields]

    def before():
        for key in keys:
            library.redis.cli("HSET", key, "mode", "all")
            for name in sets:
                library.redis.cli("DEL", key + ":" + name)
                library.redis.cli("SADD", key + ":" + name, *(
                    domains if name == "domains" else ranges))

    call = lambda: library.redis.cli("FCALL", "smtpusers_import", len(keys),
                                     *keys, "user_put", *words)
    before()
    replies = call()
    done = 4 // len(sets)
    assert replies[:done] == ["changed"] * done
    assert all(reply.startswith("INVALID ") and "by another" in reply
               for reply in replies[done:])
    assert least(library, call, before) < MOST


def test_imports_of_what_is_over(library):
    keys, words = [], []
    for n in range(100):
        keys.append(library.user("u%d" % n))
        words += "2", "suppressed", "a.example"

    def before():
        for key in keys:
            library.redis.cli("HSET", key, "mode", "all")
            library.redis.cli("DEL", key + ":suppressed")
            library.redis.cli("ZADD", key + ":suppressed", *[
                word for n in range(1500) for word in (
                    1 + n, "d%d.example" % n)])

    call = lambda: library.redis.cli(
        "FCALL", "smtpusers_import", len(keys), *keys, "user_suppressed_add",
        *words)
    before()
    assert call() == ["changed"] * len(keys)
    assert sum(library.redis.cli("ZCARD", key + ":suppressed")
               for key in keys) == 100 * 1501 - 1000
    assert least(library, call, before) < MOST


def test_views_of_what_is_large(library, alice):
    for name, make in (("domains", DOMAINS["long"]), ("ips", RANGES["IPv6"])):
        every = [make(n) for n in range(60000)]
        for start in range(0, len(every), 5000):
            library.redis.cli("SADD", alice + ":" + name,
                              *every[start:start + 5000])
    for function in ("user_get", "user_check", "user_reset"):
        assert least(library, lambda: library.call(function, alice)) < MOST
    for name in ("ips", "domains"):
        assert least(library, lambda: library.call(
            "odd_members", alice, name)) < MOST
    assert least(library, lambda: library.redis.cli(
        "FCALL", "smtpusers_user_rename", 2, alice, library.user("bob"))
        if library.redis.cli("EXISTS", alice) else library.redis.cli(
            "FCALL", "smtpusers_user_rename", 2, library.user("bob"),
            alice)) < MOST
    times = [least(library, lambda: library.call("user_del", key))
             for key in (alice, library.user("bob"))]
    assert max(times) < MOST


def test_totals(library):
    """What a relay writes at once, where as many have sent before."""
    key = "smtp:stats:{2026-11-21T08}"
    library.redis.cli("EVAL", """
        for _, what in ipairs({'messages', 'recipients', 'bytes'}) do
            for i = 1, 50000 do
                redis.call('ZADD', 'smtp:top:{2026-11-21T08}:' .. what, i,
                    'user' .. i)
            end
        end""", 0, timeout=60)
    fields = [word for n in range(100) for word in (
        "message:refused:reason-%d" % n, 5)]
    names = [word for n in range(200) for word in (
        "user", "user%d" % (n * 250), 50000, 50000, 10 ** 9, 7)]
    number = iter(range(1, 1000))
    assert least(library, lambda: library.call(
        "count", key, "relay", next(number), 100, *fields, *names)) < MOST
    with pytest.raises(ReplyError, match="INVALID"):
        library.call("count", key, "relay", next(number), 0, *names * 3)
