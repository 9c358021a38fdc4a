# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Relays of two versions side by side: whoever comes first or last, the newer
functions stay, and every message counts once."""

import pytest

from library import as_script
from places import program, workdir
from quotas import LUA, Functions, Sender, limited
from redisserver import ReplyError, wait_until
from test_quota import HASH, NUMBER, with_version

OLD = "0" * 16
BEHIND = "words[#words + 1] = VERSION"


def older_text():
    """As long as ours, for it takes its place in the program; replies say
    nothing of a version, as before there was any."""
    text = with_version(NUMBER - 1, OLD).replace(BEHIND, " " * len(BEHIND))
    assert len(text) == len(LUA.read_text())
    return text


@pytest.fixture(scope="module")
def older():
    """A filter that has older functions."""
    path = workdir("older") / "filter-smtpusers"
    parts = program("filter-smtpusers", "san").read_bytes().split(
        LUA.read_bytes())
    assert len(parts) == 2
    path.write_bytes(older_text().encode().join(parts))
    path.chmod(0o755)
    return path


@pytest.fixture
def redis(redis):
    redis.cli("FUNCTION", "FLUSH")
    yield redis
    redis.cli("FUNCTION", "FLUSH")


def version(redis):
    try:
        return redis.cli("FCALL", "smtpusers_version", 0)
    except ReplyError:
        return None


def has(redis, number, digest):
    wait_until(lambda: version(redis) == [number, digest], 20,
               "functions of version %d" % number)


def both_send(senders, count):
    """By turns; how many are taken."""
    return sum(sender.message() == "proceed" for _ in range(count)
               for sender in senders)


def test_the_newer_relay_first(redis, users, older):
    limited(users, quota="25", rate="100/1h")
    with Sender(redis.url) as new:
        has(redis, NUMBER, HASH)
        taken = new.send(5)
        with Sender(redis.url, executable=older) as old:
            for _ in range(15):
                taken += both_send([old, new], 1)
                assert version(redis) == [NUMBER, HASH]
    assert taken == 25
    assert used(redis) == {"quota": 25, "100/1h": 25}


def test_the_older_relay_first(redis, users, older):
    limited(users, quota="25", rate="100/1h")
    with Sender(redis.url, executable=older) as old:
        has(redis, NUMBER - 1, OLD)
        taken = old.send(5)
        with Sender(redis.url) as new:
            has(redis, NUMBER, HASH)
            taken += both_send([old, new], 5)
            # The one that stays behind is started again.
            with Sender(redis.url, executable=older) as again:
                taken += both_send([again, new, old], 5)
                assert version(redis) == [NUMBER, HASH]
    assert taken == 25
    assert used(redis) == {"quota": 25, "100/1h": 25}


@pytest.mark.parametrize("first", [0, 1], ids=["older", "newer"])
def test_functions_that_are_taken_away(redis, users, older, first):
    """Whoever puts its own there first, and be it without any connection
    being made anew."""
    limited(users, quota="20", rate="100/1h")
    with Sender(redis.url, executable=older) as old, \
            Sender(redis.url) as new:
        has(redis, NUMBER, HASH)
        senders = [old, new] if first == 0 else [new, old]
        taken = 0
        for _ in range(12):
            redis.cli("FUNCTION", "FLUSH")
            taken += both_send(senders, 1)
            has(redis, NUMBER, HASH)
    assert taken == 20
    assert used(redis) == {"quota": 20, "100/1h": 20}


def used(redis):
    """Once all is kept, by the functions that are there."""
    counters = Functions.__new__(Functions)
    counters.redis, counters.user = redis, "smtp:user:{alice}"
    return counters.used()


def test_the_older_functions_would_be_found(redis, older):
    """The test's own: that filter loads what it is said to."""
    with Sender(redis.url, executable=older):
        has(redis, NUMBER - 1, OLD)
        assert BEHIND not in older_text()
        assert BEHIND in as_script()
