# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""smtpusers top and smtpusers stats: what Redis holds, added up."""

import collections
import random
import time

import jsonschema
import pytest

from cli import EX_DATAERR, EX_NOPERM, EX_USAGE, Smtpusers, log_in_as
from library import Library
from redisserver import RedisServer
from transfers import schema

WHAT = ("messages", "recipients", "bytes", "blocks")
HOUR = 3600


def hour(ago=0):
    return time.strftime("%Y-%m-%dT%H", time.gmtime(time.time() - ago * HOUR))


def hour_time(ago=0):
    return hour(ago) + ":00:00Z"


@pytest.fixture
def cmd(redis, tmp_path):
    """Not in the last seconds of an hour: what is written is of this one."""
    left = HOUR - time.time() % HOUR
    if left < 90:
        time.sleep(left)
    return Smtpusers(redis, tmp_path)


def top_key(ago, what="messages", kind=""):
    return "smtp:top:{%s}:%s%s" % (hour(ago), kind, what)


def fill(server, ago, scores, what="messages", kind=""):
    words = [word for name, score in scores.items()
             for word in (score, name)]
    server.cli("ZADD", top_key(ago, what, kind), *words)


def top(cmd, *words):
    found = cmd.json("top", *words)
    jsonschema.validate(found, schema("top.json"))
    return found


def ranks(cmd, *words):
    found = top(cmd, *words)
    return [(row["name"], row[found["by"]]) for row in
            found.get("users") or found.get("accounts") or ()]


def stats(cmd, *words):
    found = cmd.json("stats", *words)
    jsonschema.validate(found, schema("stats.json"))
    return found


# top

def test_hours_are_added_up(cmd):
    fill(cmd.server, 0, {"alice": 5, "bob": 7})
    fill(cmd.server, 1, {"alice": 3, "carol": 6})
    fill(cmd.server, 2, {"dave": 9})
    fill(cmd.server, 0, {"alice": 500, "bob": 70}, "bytes")
    fill(cmd.server, 1, {"alice": 1}, "blocks")
    assert ranks(cmd) == [("dave", 9), ("alice", 8), ("bob", 7), ("carol", 6)]
    assert ranks(cmd, "-n", "2") == [("dave", 9), ("alice", 8)]
    assert ranks(cmd, "--last", "1h") == [("alice", 8), ("bob", 7),
                                          ("carol", 6)]
    assert ranks(cmd, "--by", "bytes") == [("alice", 500), ("bob", 70)]
    found = top(cmd, "--last", "1h")
    assert found["since"] == hour_time(1) and found["missing_at_most"] == 0
    assert found["users"][0] == {"name": "alice", "messages": 8,
                                 "recipients": 0, "bytes": 500, "blocks": 1}
    lines = cmd.ok("top", "--last", "1h", "-n", "1").stdout.splitlines()
    assert lines[0] == "Since %s:" % hour_time(1)
    assert [line.split() for line in lines[1:]] == [
        ["USER", "MESSAGES", "RECIPIENTS", "BYTES", "BLOCKS"],
        ["alice", "8", "0", "500", "1"]]


def test_accounts(cmd):
    fill(cmd.server, 0, {"alice": 5})
    fill(cmd.server, 0, {"acme": 4, "apex": 9}, kind="account:")
    assert ranks(cmd, "--account") == [("apex", 9), ("acme", 4)]
    assert "ACCOUNT" in cmd.ok("top", "--account").stdout


def test_nothing_was_sent(cmd):
    assert ranks(cmd) == []
    assert len(cmd.ok("top").stdout.splitlines()) == 2
    assert stats(cmd)["totals"] == {}


@pytest.mark.parametrize("words", [
    ("--last", "0h"), ("--last", "49h"), ("--last", "3d"), ("--last", "1"),
    ("--last", "1m"), ("--last", "-1h"), ("-n", "1001"), ("-n", "x")])
def test_what_is_no_time_or_number(cmd, words):
    cmd.fails(EX_USAGE, "top", *words)


def test_what_is_no_list(cmd):
    cmd.fails(EX_DATAERR, "top", "--by", "money")
    cmd.fails(EX_USAGE, "stats", "--since", "36d")
    cmd.fails(EX_DATAERR, "stats", "--by", "user")


def test_what_no_relay_has_written(cmd):
    """Names that cannot be, scores that cannot, keys of another type."""
    cmd.server.cli("ZADD", top_key(0), "9", "\x1b[2J", "8", "A b", "inf",
                   "eve", "-4", "mallory", "1e300", "oscar", "2", "bob",
                   "1.5", "carol")
    cmd.server.cli("SET", top_key(1), "x")
    fill(cmd.server, 2, {"alice": 3})
    assert ranks(cmd) == [("alice", 3), ("bob", 2), ("carol", 1)]
    result = cmd.ok("top")
    assert "%s: ignored, since it is of the wrong type" % top_key(1) in result.stderr
    assert "\x1b" not in result.stdout + result.stderr


@pytest.mark.parametrize("seed", range(6))
def test_the_first_ones_are_the_first_ones(cmd, seed):
    """Against a sum over everything: heavy users, spikes and noise."""
    rng = random.Random(seed)
    sums = collections.Counter()
    for ago in range(25):
        scores = {}
        for number in range(600):
            name = "u%d" % number
            score = rng.choice([
                0, rng.randrange(20), 1000 // (number + 1),
                500 if rng.random() < 0.004 else 1][:seed % 4 + 1])
            if score:
                scores[name] = score
                sums[name] += score
        if scores:
            fill(cmd.server, ago, scores)
    expected = sorted(((name, count) for name, count in sums.items()),
                      key=lambda row: (-row[1], row[0]))
    for count in (1, 10, 700):
        found = top(cmd, "-n", str(count))
        assert found["missing_at_most"] == 0
        rows = [(row["name"], row["messages"]) for row in found["users"]]
        assert [score for _, score in rows] == [
            score for _, score in expected[:count]]
        assert all(sums[name] == score for name, score in rows)


def test_among_very_many(tmp_path):
    """Only the heads are read; where that does not do, it is said."""
    with RedisServer(tmp_path) as server:
        cmd = Smtpusers(server, tmp_path)
        server.cli("EVAL", """
            for i = 1, 200000 do
                redis.call('ZADD', KEYS[1], i % 7 + 1, 'u' .. i)
                redis.call('ZADD', KEYS[2], i % 5 + 1, 'u' .. i)
            end
            redis.call('ZADD', KEYS[1], 500, 'alice', 400, 'bob')
            redis.call('ZADD', KEYS[2], 30, 'carol')
            """, 2, top_key(0), top_key(1), timeout=60)
        before = sent(server)
        found = cmd.json("top", "-n", "3")
        assert [row["name"] for row in found["users"]] == [
            "alice", "bob", "carol"]
        assert found["missing_at_most"] == 0
        assert sent(server) - before < 100000
        # Five more, of whom nobody stands out.
        for ago in range(2, 7):
            server.cli("EVAL", """
                for i = 1, 50000 do
                    redis.call('ZADD', KEYS[1], i * ARGV[1] % 49999 + 1,
                        'u' .. i)
                end""", 1, top_key(ago), ago * 7919, timeout=60)
        before = sent(server)
        result = cmd.ok("top", "-n", "5")
        assert len(result.stdout.splitlines()) == 7
        if result.stderr:
            assert "incomplete: others with up to " in result.stderr
        assert sent(server) - before < 20000000


def sent(server):
    return next(int(line.partition(":")[2]) for line in
                server.cli("INFO", "stats").splitlines()
                if line.startswith("total_net_output_bytes:"))


# stats

def hold(cmd, ago, *words):
    cmd.server.cli("HSET", "smtp:stats:{%s}" % hour(ago), *words)


def test_totals(cmd):
    hold(cmd, 0, "message:accepted", "5", "message:refused:plan", "2",
         "bytes:accepted", "700", "login:refused", "4")
    hold(cmd, 1, "message:refused:plan", "1", "message:refused:quota", "3",
         "login:refused:source-not-listed", "1")
    hold(cmd, 30, "message:accepted", "100")
    assert stats(cmd) == {"since": hour_time(24), "totals": {
        "bytes": {"accepted": 700}, "login": {"refused": 5},
        "message": {"accepted": 5, "refused": 6}}}
    assert stats(cmd, "--since", "2d")["totals"]["message"] == {
        "accepted": 105, "refused": 6}
    assert stats(cmd, "--since", "1h", "--by", "reason")["totals"] == [
        {"event": event, "result": result, "reason": reason, "count": count}
        for event, result, reason, count in (
            ("bytes", "accepted", None, 700), ("login", "refused", None, 4),
            ("login", "refused", "source-not-listed", 1),
            ("message", "accepted", None, 5),
            ("message", "refused", "plan", 3),
            ("message", "refused", "quota", 3))]
    hours = stats(cmd, "--since", "35d", "--by", "hour")["hours"]
    assert len(hours) == 35 * 24 + 1
    assert hours[-1] == {"hour": hour_time(), "totals": {
        "bytes": {"accepted": 700}, "login": {"refused": 4},
        "message": {"accepted": 5, "refused": 2}}}
    assert hours[-31]["totals"] == {"message": {"accepted": 100}}
    assert hours[-3]["totals"] == {}


def test_totals_for_people(cmd):
    hold(cmd, 0, "message:accepted", "5", "message:refused:plan", "2",
         "bytes:accepted", "700")
    shown = [line.split() for line in cmd.ok("stats").stdout.splitlines()]
    assert shown == [["Since", hour_time(24) + ":"],
                     ["EVENT", "RESULT", "COUNT"],
                     ["bytes", "accepted", "700"], ["message", "accepted", "5"],
                     ["message", "refused", "2"]]
    shown = cmd.ok("stats", "--by", "reason").stdout.splitlines()
    assert shown[-1].split() == ["message", "refused", "plan", "2"]
    shown = cmd.ok("stats", "--by", "hour", "--since", "1h").stdout
    assert [line.split() for line in shown.splitlines()[2:]] == [
        [hour_time(1), *"00000000"],
        [hour_time(0), "0", "0", "5", "0", "0", "2", "0", "700"]]


def test_fields_that_no_relay_has_written(cmd):
    hold(cmd, 0, "message:accepted", "5", "x", "1", "a:b:c:d", "1",
         "login:\x1b[2J", "1", "login:accepted", "many", "login:refused",
         "-1", "message:refused", "9" * 30)
    cmd.server.cli("SET", "smtp:stats:{%s}" % hour(1), "x")
    hold(cmd, 2, *(word for n in range(1100) for word in (
        "message:" + "x" * n, "1")))
    result = cmd.ok("stats")
    assert result.stdout.splitlines()[2:] == ["message  accepted  5"]
    assert "ignored, since it is of the wrong type" in result.stderr
    assert "ignored, since no relay writes so many fields" in result.stderr


def test_the_command_has_the_rights_that_it_uses(cmd, tmp_path):
    fill(cmd.server, 0, {"alice": 5})
    hold(cmd, 0, "message:accepted", "5")
    try:
        other = log_in_as(cmd.server, "command", tmp_path)
        assert ranks(other) == [("alice", 5)]
        assert stats(other)["totals"] == {"message": {"accepted": 5}}
        other = log_in_as(cmd.server, "panel", tmp_path)
        other.fails(EX_NOPERM, "top")
        other.fails(EX_NOPERM, "stats")
    finally:
        for role in ("command", "panel"):
            cmd.server.cli("ACL", "DELUSER", role)


# What the relays call

STATS = "smtp:stats:{2026-11-21T08}"
TOP = "smtp:top:{2026-11-21T08}:"


def hash_of(redis, key):
    flat = redis.cli("HGETALL", key)
    return dict(zip(flat[::2], flat[1::2]))


def members(redis, key):
    flat = redis.cli("ZRANGE", key, 0, -1, "WITHSCORES")
    return dict(zip(flat[::2], flat[1::2]))


BATCH = (2, "message:accepted", 3, "bytes:accepted", 70,
         "user", "alice", 2, 4, 50, 0, "user", "bob", 1, 1, 20, 1,
         "account", "acme", 3, 5, 70, 1)


def test_a_batch_counts_once(redis):
    library = Library(redis)
    assert library.call("count", STATS, "relay", 1, *BATCH) == 1
    assert library.call("count", STATS, "relay", 1, *BATCH) == 0
    assert library.call("count", STATS, "other", 1, *BATCH) == 1
    assert library.call("count", STATS, "relay", 3, *BATCH) == 1
    assert library.call("count", STATS, "relay", 2, *BATCH) == 0
    assert hash_of(redis, STATS) == {"message:accepted": "9",
                                     "bytes:accepted": "210"}
    assert members(redis, TOP + "messages") == {"alice": "6", "bob": "3"}
    assert members(redis, TOP + "recipients") == {"alice": "12", "bob": "3"}
    assert members(redis, TOP + "blocks") == {"bob": "3"}
    assert members(redis, TOP + "account:bytes") == {"acme": "210"}
    kept = {key: redis.cli("TTL", key) for key in redis.cli("KEYS", "*")}
    assert len(kept) == 2 + 2 * len(WHAT)
    assert all(0 < seconds <= 50 * HOUR for key, seconds in kept.items()
               if key != STATS)
    assert 35 * 86400 < kept[STATS] <= 36 * 86400


def test_what_is_there_and_no_total_is_replaced(redis):
    library = Library(redis)
    redis.cli("SET", STATS + ":written", "x")
    redis.cli("SADD", TOP + "messages", "x")
    redis.cli("HSET", STATS, "message:accepted", "many", "bytes:accepted",
              2 ** 63 - 1)
    redis.cli("RPUSH", TOP + "account:bytes", "x")
    assert library.call("count", STATS, "relay", 1, *BATCH) == 1
    assert hash_of(redis, STATS) == {"message:accepted": "3",
                                     "bytes:accepted": "70"}
    assert members(redis, TOP + "messages") == {"alice": "2", "bob": "1"}
    assert members(redis, TOP + "account:bytes") == {"acme": "70"}
    redis.cli("HSET", STATS + ":written", "relay", "x")
    redis.cli("DEL", STATS)
    redis.cli("SET", STATS, "x")
    assert library.call("count", STATS, "relay", 2, *BATCH) == 1
    assert hash_of(redis, STATS)["message:accepted"] == "3"


@pytest.mark.parametrize("words", [
    (), ("relay",), ("relay", 1), ("relay", "x", 0), ("relay", 1, "x"),
    ("relay", 1, 1), ("relay", 1, 1, "a:b"), ("relay", 1, 1, "a:b", "-1"),
    ("relay", 1, 1, "a:b", "1.5"), ("relay", 1, 0, "user", "a", 1, 1, 1),
    ("relay", 1, 0, "user", "a", 1, 1, 1, "x"),
    ("relay", 1, 0, "robot", "a", 1, 1, 1, 1), ("relay", 1, 2 ** 60),
    ("relay", 1, "9" * 15)])
def test_what_is_no_batch(redis, words):
    Library(redis).refuses("INVALID", "count", STATS, *words)


@pytest.mark.parametrize("key", [
    "smtp:user:{alice}", "smtp:stats:{}:written", "stats:2026-11-21T08",
    "smtp:stats:{a}", "smtp:stats:{2026-11-21T08}x"])
def test_what_is_no_key_of_totals(redis, key):
    Library(redis).refuses("INVALID", "count", key, "relay", 1, 0)
