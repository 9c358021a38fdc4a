# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Relays of two versions side by side: whoever comes first or last, the newer
functions stay, and every message counts once."""

import re

import pytest

from library import as_script
from places import program, workdir
from quotas import LUA, Functions, Sender, limited
from redisserver import ReplyError, wait_until
from test_quota import HASH, NUMBER, with_version

OLD = "0" * 16


def older_text():
    """As long as ours, for it takes its place in the program."""
    text = with_version(NUMBER - 1, OLD)
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


# Older functions that know of no limit, and take what there is.
KNOWING_LITTLE = """#!lua name=smtpusers_%d_%s
local function version()
	return { %d, '%s' }
end
local function yes()
	redis.call('INCR', '{alice}:passed')
	return { 'ok' }
end
local function reserve(keys)
	redis.call('SET', keys[4], 'held 1 0', 'EX', 3600)
	return yes()
end
redis.register_function('smtpusers_version', version)
redis.register_function('smtpusers_check', yes)
redis.register_function('smtpusers_reserve', reserve)
redis.register_function('smtpusers_keep', function() return { 'ok' } end)
redis.register_function('smtpusers_refund', function() return { 'ok' } end)
redis.register_function('smtpusers_alarm', yes)
""" % (NUMBER - 1, OLD, NUMBER - 1, OLD)


def put(redis, text):
    """At once: a relay that finds none loads its own."""
    with redis.connect() as connection:
        for words in (["MULTI"], ["FUNCTION", "FLUSH"],
                      ["FUNCTION", "LOAD", text], ["EXEC"]):
            reply = connection.command(*words)
        assert len(reply) == 2, reply


LIMITS = {
    "sender": ({"sender_quota": "3"}, {}, "[QUOTA]"),
    "user": ({"quota": "3"}, {}, "[QUOTA]"),
    "alarm": ({}, {"alarm": {"volume": {"limit": 3, "period": "1h",
                                        "action": "block"}}}, "[ACL]"),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_older_functions_let_nothing_pass(redis, users, limit):
    """They come in between, as after a fail-over: what they say yes to, they
    have not judged."""
    fields, conf, word = LIMITS[limit]
    limited(users, **fields)
    with Sender(redis.url, redis_timeout=20000, **conf) as sender:
        has(redis, NUMBER, HASH)
        for _ in range(3):
            assert sender.mail() == "proceed"
            put(redis, KNOWING_LITTLE)
            assert sender.commit() == "proceed"
            sender.report("tx-commit", "100")
            assert version(redis) == [NUMBER, HASH]
        put(redis, KNOWING_LITTLE)
        verdict = sender.mail()
        if verdict == "proceed":
            put(redis, KNOWING_LITTLE)
            verdict = sender.commit()
        assert word in verdict
    # They were asked, where the relay had not put its own back before.
    assert int(redis.cli("GET", "{alice}:passed")) > 0


def calls(redis, command, which):
    return int(re.search(r"^cmdstat_%s:.*\b%s=([0-9]+)" % (
        re.escape(command), which), redis.cli("INFO", "commandstats"),
        re.MULTILINE)[1])


def test_older_functions_that_stay(redis, users):
    """Nobody may load others: mail waits for who may."""
    redis.cli("CONFIG", "RESETSTAT")
    limited(users, sender_quota="3")
    put(redis, KNOWING_LITTLE)
    redis.cli("ACL", "SETUSER", "default", "-function|load")
    try:
        with Sender(redis.url) as sender:
            for _ in range(2):
                assert sender.message() == "reject|451 4.3.0 Temporary failure"
            # Not with each question.
            asked = calls(redis, "fcall", "calls")
            assert asked > 5 * calls(redis, "function|load", "rejected_calls")
            redis.cli("ACL", "SETUSER", "default", "+function|load")
            wait_until(lambda: sender.message() == "proceed", 60, "mail")
            assert sender.send(5) == 2
    finally:
        redis.cli("ACL", "SETUSER", "default", "+function|load")


def test_a_reservation_of_older_functions_is_judged_anew(redis, users):
    """What they have charged counts once."""
    limited(users, quota="2", sender_quota="1")
    functions = Functions(redis)
    hold = functions.user + ":used:hold:x"

    def reserve(name):
        return functions.call("reserve", name, 1, "senders", 1, "example.org")

    older = as_script(text=older_text())
    keys = [functions.user + end for end in
            ("", ":used:quota", ":used:rate", ":used:hold:x")]
    for _ in range(2):
        redis.cli("EVAL", older, 4, *keys, "reserve", "1d", "1", "senders",
                  "1", "example.org")
        assert " by:%d" % (NUMBER - 1) in redis.cli("GET", hold)
        assert reserve("x") == ["ok"]
        assert " by:%d" % NUMBER in redis.cli("GET", hold)
        assert functions.used() == {"quota": 1}
        assert functions.used_by() == {"example.org": {"sender_quota": 1}}
        functions.call("refund", "x")
        assert functions.used() == {"quota": 0}
        redis.cli("DEL", hold)
    # There is no room: nothing is left of it that could be given back twice.
    assert reserve("y") == ["ok"]
    redis.cli("SET", hold, "held 1 0")
    assert reserve("x")[:2] == ["full", "sender_quota"]
    functions.call("refund", "x")
    assert functions.used() == {"quota": 1}


@pytest.mark.parametrize("call", ["refund", "reserve"])
def test_a_reservation_that_names_no_version(redis, users, call):
    """All that version 4 has charged is given back, also to be judged anew."""
    limited(users, quota="9", rate="9/1h", sender_quota="9")
    functions = Functions(redis)
    hold = functions.user + ":used:hold:x"
    words = (1, "senders", 1, "example.org")
    assert functions.call("reserve", "x", *words) == ["ok"]
    text = redis.cli("GET", hold)
    redis.cli("SET", hold, text.replace(" by:%d" % NUMBER, ""))
    assert text != redis.cli("GET", hold)
    left = 0 if call == "refund" else 1
    functions.call(call, "x", *(words if left else ()))
    assert functions.used() == {"quota": left, "9/1h": left}
    assert functions.used_by() == (
        {"example.org": {"sender_quota": 1}} if left else {})
