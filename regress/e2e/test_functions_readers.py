# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""The Redis functions: the relay reads all that they write."""

import random
import string

import pytest

from library import HASH, Library
from linedriver import TableDriver
from places import configuration, workdir
from redisserver import ReplyError

SEEDS = {
    "password": [HASH, "$2b$12$" + "x" * 53, "$y$j9T$abc$def", "$6$a$b"],
    "account": ["acme", "A._+-9", "a" * 64],
    "mode": ["default", "all", "any"],
    "status": ["allowed", "sandboxed"],
    "quota": ["0", "007", "1000000000000", "42"],
    "quota_period": ["1", "024h", "3650d", "60m", "521w", "315360000s"],
    "rate": ["100/1h", "010/1h  5/01m", "1/1h 1/60m 1/3600",
             " ".join("%d/1d" % n for n in range(1, 9))],
    "description": ["x", "Bücher", "x" * 1024],
    "created": ["2026-11-21T08:39:29Z", "0000-01-01T00:00:00Z"],
    "ips": ["192.0.2.0/24 ::1", "[2001:DB8::1]/33", "::ffff:10.0.0.1/100"],
}
CHARACTERS = string.printable + "\0\x1b\x7fäß\u202e|"


@pytest.fixture
def library(redis):
    return Library(redis)


@pytest.fixture
def table(redis):
    with TableDriver(workdir("table"), configuration(redis=redis.url)) as it:
        yield it


def damaged(text, rng):
    """The text with a character changed, left out or put in, or twice."""
    at = rng.randrange(len(text) + 1)
    return rng.choice([
        text, text + text, text + " " + text, text[:at] + text[at + 1:],
        text[:at] + rng.choice(CHARACTERS) + text[at + rng.randint(0, 1):],
        text[:at] + rng.choice("0123456789") * rng.randint(1, 20) + text[at:]])


@pytest.mark.parametrize("field", SEEDS)
def test_what_is_written_is_read(library, table, field):
    """Whatever the functions take is no bad record, and no problem."""
    rng = random.Random(field)
    key = library.user()
    taken = refused = 0
    for number in range(400):
        value = rng.choice(SEEDS[field])
        for _ in range(rng.randint(0, 2)):
            value = damaged(value, rng)
        library.redis.cli("DEL", key, key + ":ips")
        library.redis.cli("HSET", key, "password", HASH)
        try:
            library.call("user_put", key, "domains", "a.example", field,
                         value)
        except ReplyError as error:
            assert str(error).startswith("INVALID ")
            refused += 1
            continue
        taken += 1
        account = library.fields(key).get("account", "acme")
        library.redis.cli("HSET", library.account(account), "plan", "basic")
        if library.fields(key).get("password", "!")[0] not in "!*":
            assert table.lookup("credentials", "alice").startswith(
                "found|"), value
        told = library.call("user_check", key)
        assert not [text for text in told if text.startswith(field)], value
    assert taken > 50
    assert refused > (0 if field == "description" else 50)
    assert "bad record" not in table.stderr()


def test_a_bad_record_would_be_told(library, table):
    """What the test above looks for is there to be found."""
    library.redis.cli("HSET", library.user(), "password", HASH, "status", "x")
    assert table.lookup("credentials", "alice") == "error|bad record"
    assert "bad record: status" in table.stderr()
