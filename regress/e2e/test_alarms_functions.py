# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Alarms as the functions in Redis count them."""

import random
import re

from concurrent.futures import ThreadPoolExecutor

import pytest

from library import HASH, Library
from quotas import Functions
from redisserver import ReplyError, wait_until

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
PAST, FUTURE = "2026-01-01T00:00:00Z", "9999-01-01T00:00:00Z"


@pytest.fixture
def library(redis):
    library = Library(redis)
    library.call("user_add", library.user(), "password", HASH, "domains",
                 "example.org")
    return library


def told(reply):
    """What it says of the message, and its events."""
    return [word for word in reply if not isinstance(word, list)], [
        {"kind": row[0], **dict(zip(row[1::2], row[2::2]))} for row in reply
        if isinstance(row, list)]


class Alarms:
    """Messages of alice, as a relay reserves them."""

    def __init__(self, redis, plan):
        self.functions = Functions(redis)
        self.plan = plan
        self.key = self.functions.user
        self.redis = redis
        self.sent = 0

    def message(self, source="192.0.2.1", senders=("example.org",),
                recipients=("b",), hold=None, number=None):
        self.sent += 1
        digests = "".join("%016x" % abs(hash(name)) for name in recipients)
        self.functions.told = []
        reply = self.functions.call(
            "reserve", hold or "%016x" % self.sent, "1", "alarms", "4",
            self.plan, source, str(number or len(recipients)), digests,
            "senders", str(len(senders)), *senders)
        return told(reply + self.functions.told)

    def count(self, kind, value, *hold, plan=None):
        reply = self.redis.cli("FCALL", "smtpusers_alarm", 1, self.key,
                               plan or self.plan, kind, value, *hold)
        assert isinstance(reply.pop(), int)
        return told(reply)

    def fields(self):
        flat = self.redis.cli("HGETALL", self.key)
        return dict(zip(flat[::2], flat[1::2]))

    def counters(self):
        return sorted(key.partition(":used:alarm:")[2] for key in
                      self.redis.cli("KEYS", self.key + ":used:alarm:*"))


# What each kind counts: messages that are different in it, and such as are not.
DIFFERENT = {
    "sources": lambda n: {"source": "192.0.2.%d" % (n % 256)},
    "senders": lambda n: {"senders": ["d%d.example.org" % n]},
    "recipients": lambda n: {"recipients": ["r%d" % n]},
}


@pytest.mark.parametrize("action, status", [("block", "blocked"),
                                            ("sandbox", "sandboxed")])
@pytest.mark.parametrize("kind", DIFFERENT)
def test_one_too_many_that_is_different(redis, library, kind, action, status):
    alarms = Alarms(redis, "%s:5:3600:%s:0" % (kind, action))
    for n in [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]:
        assert alarms.message(**DIFFERENT[kind](n)) == (["ok"], [])
    reply, events = alarms.message(**DIFFERENT[kind](5))
    assert reply == ["alarm", action, "alarm:" + kind]
    assert events == [{"kind": "alarm." + kind, "action": action, "count": "6",
                       "limit": "5", "period": "1h", "until": "",
                       "account": ""}]
    fields = alarms.fields()
    assert fields["status"] == status
    assert fields["blocked_by"] == "alarm:" + kind
    assert TIME.fullmatch(fields["blocked_at"])
    assert "blocked_until" not in fields
    assert alarms.counters() == []
    # Whatever else is under way is not accepted either, and tells nothing.
    assert alarms.message() == (["alarm", action, "alarm:" + kind], [])
    assert alarms.counters() == []


def test_numbers(redis, library):
    alarms = Alarms(redis, "volume:10:3600:block:0")
    assert alarms.message(recipients="abcdef") == (["ok"], [])
    assert alarms.message(recipients="abcd") == (["ok"], [])
    reply, events = alarms.message()
    assert reply == ["alarm", "block", "alarm:volume"]
    assert events[0]["count"] == "11"


def test_refusals(redis, library):
    alarms = Alarms(redis, "blocked:3:60:block:60")
    for _ in range(3):
        assert alarms.count("blocked", "1") == (["ok"], [])
    reply, events = alarms.count("blocked", "1")
    assert reply == ["alarm", "block", "alarm:blocked"]
    assert TIME.fullmatch(events[0]["until"])
    assert alarms.fields()["blocked_until"] == events[0]["until"]


def test_logins_and_messages_count_together(redis, library):
    alarms = Alarms(redis, "sources:2:3600:block:0")
    assert alarms.count("sources", "192.0.2.1") == (["ok"], [])
    assert alarms.message(source="192.0.2.2") == (["ok"], [])
    assert alarms.message(source="192.0.2.1") == (["ok"], [])
    assert alarms.count("sources", "2001:db8::/64")[0][0] == "alarm"


@pytest.mark.parametrize("kind", DIFFERENT)
def test_a_notice_is_told_once_in_a_window(redis, library, kind):
    alarms = Alarms(redis, "%s:3:2:notice:0" % kind)

    def told():
        return [n for n in range(8)
                if alarms.message(**DIFFERENT[kind](n)) != (["ok"], [])]

    key = alarms.key + ":used:alarm:" + kind
    first = told()
    if redis.cli("EXISTS", key):
        assert first == [3]
    assert "blocked_by" not in alarms.fields()
    assert alarms.fields().get("status", "allowed") == "allowed"
    wait_until(lambda: not redis.cli("EXISTS", key), 60, "the window to end")


@pytest.mark.parametrize("action", ["notice", "block"])
def test_a_call_that_is_made_again(redis, library, action):
    """It counts once, and tells the same."""
    alarms = Alarms(redis, "blocked:3:3600:%s:0 sources:1:3600:%s:0" % (
        action, action))
    counter = alarms.key + ":used:alarm:blocked"
    for _ in range(3):
        assert alarms.count("blocked", "2", "a1") == (["ok"], [])
        assert redis.cli("GET", counter) == "2"
    _, first = alarms.count("blocked", "2", "a2")
    assert [event["kind"] for event in first] == ["alarm.blocked"]
    for _ in range(3):
        assert alarms.count("blocked", "2", "a2") == (["ok"], first)
    assert 0 < redis.cli("TTL", alarms.key + ":used:hold:a2") <= 3600
    if action == "block":
        return
    assert redis.cli("GET", counter) == "4"
    for hold, told in (("b1", 0), ("b2", 1), ("b2", 1), ("b3", 0)):
        assert len(alarms.count("sources", "192.0.2." + hold[1], hold)[1]
                   ) == told
    # What says nothing needs no place.
    assert not redis.cli("EXISTS", alarms.key + ":used:hold:b1")


@pytest.mark.parametrize("action", ["notice", "block"])
def test_a_flood_of_what_is_counted_leaves_no_keys(redis, library, action):
    """A client may have any number of messages refused."""
    alarms = Alarms(redis, "blocked:3:3600:%s:0" % action)
    for n in range(50):
        alarms.count("blocked", "1", "%x" % (n + 1))
    assert alarms.redis.cli("HGET", alarms.key, "status") == (
        "blocked" if action == "block" else None)
    assert len(redis.cli("KEYS", alarms.key + ":used:hold:*")) == 4


def test_what_cannot_be_counted_is_counted_later(redis, library):
    alarms = Alarms(redis, "blocked:3:3600:block:0")
    counter = alarms.key + ":used:alarm:blocked"
    redis.cli("SET", counter, "x")
    assert alarms.count("blocked", "2", "a1")[0][0] == "bad"
    redis.cli("DEL", counter)
    alarms.count("blocked", "2", "a1")
    assert redis.cli("GET", counter) == "2"


def test_older_functions_have_not_judged_it(redis, library):
    alarms = Alarms(redis, "blocked:3:3600:block:0")
    hold = alarms.key + ":used:hold:a1"
    alarms.count("blocked", "2", "a1")
    redis.cli("SET", hold, re.sub("by:[0-9]+", "by:1", redis.cli("GET", hold)))
    assert alarms.count("blocked", "2", "a1")[0][0] == "alarm"


@pytest.mark.parametrize("limit", [129, 1000])
def test_many_are_estimated(redis, library, limit):
    """And counted in what does not grow."""
    alarms = Alarms(redis, "recipients:%d:3600:block:0" % limit)
    for first in range(0, 10 * limit, 50):
        names = ["r%d" % n for n in range(first, first + 50)]
        reply, events = alarms.message(recipients=names)
        if reply != ["ok"]:
            break
    assert reply == ["alarm", "block", "alarm:recipients"]
    assert abs(int(events[0]["count"]) - (first + 50)) <= 0.05 * limit
    assert abs(first + 50 - limit) <= 50 + 0.05 * limit


def test_sets_stay_small(redis, library):
    """One message with very many, and a notice that was told long ago."""
    alarms = Alarms(redis, "recipients:20:3600:notice:0")
    for _ in range(3):
        alarms.message(recipients=["r%d" % random.getrandbits(60)
                                   for _ in range(5000)])
    key = alarms.key + ":used:alarm:recipients"
    assert redis.cli("SCARD", key) <= 20 + 128
    long = "x" * 60 + "." + "y" * 60 + ".example"
    alarms.plan = "senders:20:3600:notice:0"
    assert alarms.message(senders=[long]) == (["ok"], [])
    assert len(redis.cli("SMEMBERS", alarms.key + ":used:alarm:senders")[0]) \
        == 40


def test_a_retry_counts_once(redis, library):
    alarms = Alarms(redis, "volume:10:3600:block:0")
    for _ in range(5):
        assert alarms.message(number=8, hold="same") == (["ok"], [])
    assert redis.cli("GET", alarms.key + ":used:alarm:volume") == "8"
    # The answer of the one that sets it off may be lost.
    first = alarms.message(number=8, hold="other")
    assert first[1] and alarms.message(number=8, hold="other") == first
    assert alarms.message(number=8, hold="third")[1] == []


def test_a_number_is_given_back(redis, library):
    alarms = Alarms(redis, "volume:10:3600:block:0")
    counter = alarms.key + ":used:alarm:volume"
    alarms.message(number=4, hold="a")
    alarms.message(number=4, hold="b")
    alarms.functions.call("refund", "a")
    assert redis.cli("GET", counter) == "4"
    alarms.functions.call("refund", "a")
    alarms.functions.call("keep", "b")
    alarms.functions.call("refund", "b")
    assert redis.cli("GET", counter) == "4"
    assert redis.cli("PTTL", counter) > 3500 * 1000
    # Not in a window that has begun since.
    alarms.message(number=4, hold="c")
    redis.cli("SET", counter, "7", "PX", "1000000")
    alarms.functions.call("refund", "c")
    assert redis.cli("GET", counter) == "7"


def test_what_is_given_back_is_not_told_again(redis, library):
    """Else who has messages given back fills the stream of events."""
    alarms = Alarms(redis, "volume:3:3600:notice:0")
    for n in range(9):
        hold = "back%d" % n
        reply, events = alarms.message(number=4, hold=hold)
        assert (reply, len(events)) == (["ok"], 1 if n == 0 else 0)
        alarms.functions.call("refund", hold)
    # Another limit is another matter, and so is the next window.
    alarms.plan = "volume:2:3600:notice:0"
    assert len(alarms.message(number=4)[1]) == 1
    redis.cli("DEL", alarms.key + ":used:alarm:volume")
    told = alarms.key + ":used:alarm:volume:told"
    assert 0 < redis.cli("PTTL", told) <= 3600000
    redis.cli("DEL", told)
    assert len(alarms.message(number=4)[1]) == 1
    # What is of another type there is nobody's excuse.
    redis.cli("DEL", alarms.key + ":used:alarm:volume", told)
    redis.cli("SADD", told, "x")
    assert alarms.message(number=4)[0] == ["ok"]
    library.call("user_del", alarms.key, "purge")
    assert not redis.cli("KEYS", "smtp:*used*alarm*")


def test_relays_with_different_limits_fill_no_stream(redis, library):
    """Each limit is told once, whoever has it."""
    alarms = Alarms(redis, "")
    events = []
    for n in range(40):
        alarms.plan = "volume:%d:3600:notice:0" % (3, 5, 50)[n % 3]
        events += alarms.message()[1]
    assert [event["limit"] for event in events] == ["3", "5"]


def test_numbers_that_no_message_brings(redis, library):
    """What next hops refuse comes by several at once, and is given back by
    nobody."""
    alarms = Alarms(redis, "failures:10:3600:block:0")
    assert alarms.count("failures", "4") == (["ok"], [])
    assert alarms.count("failures", "6") == (["ok"], [])
    assert alarms.message(hold="a") == (["ok"], [])
    alarms.functions.call("refund", "a")
    assert redis.cli("GET", alarms.key + ":used:alarm:failures") == "10"
    reply, events = alarms.count("failures", "3")
    assert reply == ["alarm", "block", "alarm:failures"]
    assert [event["count"] for event in events] == ["13"]
    # Who is blocked is counted no more.
    assert alarms.count("failures", "3")[0] == reply
    assert alarms.counters() == []


def test_relays_race(redis, library):
    """Exactly one message sets it off, and none is accepted behind it."""
    plan = "sources:20:3600:block:3600"

    def relay(which):
        alarms, accepted, events = Alarms(redis, plan), [], []
        for n in range(60):
            source = "192.0.2.%d" % random.randrange(200)
            reply, told = alarms.message(source=source,
                                         hold="%d-%d" % (which, n))
            events += told
            if reply == ["ok"]:
                accepted.append(source)
        return accepted, events

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(relay, range(6)))
    events = [event for _, told in found for event in told]
    assert [event["count"] for event in events] == ["21"]
    assert len({source for accepted, _ in found for source in accepted}) == 20


def over(former):
    """What is told of a status that has ended."""
    return {"kind": "user.allowed", "former": former, "by": "time",
            "account": ""}


def test_it_ends_by_itself(redis, library):
    alarms = Alarms(redis, "sources:1:3600:block:1")
    alarms.message(source="192.0.2.1")
    assert alarms.message(source="192.0.2.2")[0][0] == "alarm"
    wait_until(lambda: library.get(alarms.key)["status"] == "allowed", 60,
               "the end")
    # The record says still what it was; the next message ends that.
    assert alarms.fields()["status"] == "blocked"
    assert alarms.message(source="192.0.2.2") == (["ok"], [over("blocked")])
    assert alarms.message(source="192.0.2.2") == (["ok"], [])
    fields = alarms.fields()
    assert fields["status"] == "allowed"
    assert not [name for name in fields if name.startswith("blocked_")]


@pytest.mark.parametrize("status", ["blocked", "sandboxed"])
@pytest.mark.parametrize("until", [FUTURE, "", "soon", "2026-02-30T00:00:00Z"])
def test_what_does_not_end_stays(redis, library, status, until):
    alarms = Alarms(redis, "sources:100:3600:block:1")
    redis.cli("HSET", alarms.key, "status", status, "blocked_until", until)
    assert alarms.message()[0][0] == "alarm"
    assert library.get(alarms.key)["status"] == status
    redis.cli("HDEL", alarms.key, "blocked_until")
    assert alarms.message()[0][0] == "alarm"
    redis.cli("HSET", alarms.key, "blocked_until", PAST)
    assert alarms.message() == (["ok"], [over(status)])


def test_one_command_releases(redis, library):
    alarms = Alarms(redis, "sources:1:3600:block:3600")
    alarms.message(source="192.0.2.1")
    alarms.message(source="192.0.2.2")
    assert library.call("user_set", alarms.key, "status", "allowed") == \
        "changed"
    assert not [name for name in alarms.fields()
                if name.startswith("blocked_")]
    # And it is counted from nothing.
    assert alarms.message(source="192.0.2.3") == (["ok"], [])
    assert alarms.message(source="192.0.2.4")[0][0] == "alarm"


def test_a_status_that_is_set_does_not_end(redis, library):
    """Nothing of a former one is left that would end it."""
    key = library.user()
    redis.cli("HSET", key, "status", "blocked", "blocked_by", "alarm:sources",
              "blocked_at", PAST, "blocked_until", PAST)
    assert library.get(key)["status"] == "allowed"
    assert library.call("user_set", key, "status", "blocked") == "changed"
    assert library.get(key)["status"] == "blocked"
    assert library.call("user_set", key, "status", "blocked", "blocked_until",
                        FUTURE, "blocked_by", "abuse desk") == "changed"
    view = library.get(key)
    assert (view["status"], view["blocked_until"], view["blocked_by"]) == (
        "blocked", FUTURE, "abuse desk")
    # What says nothing of it changes nothing.
    assert library.call("user_set", key, "quota", "1") == "changed"
    assert library.get(key)["blocked_until"] == FUTURE


def test_a_panel_writes_a_status_that_does_not_end(redis, library):
    """By one command of Redis, whatever an alarm has left."""
    key = library.user()
    redis.cli("HSET", key, "status", "blocked", "blocked_until", PAST)
    assert library.get(key)["status"] == "allowed"
    redis.cli("HSET", key, "status", "blocked", "blocked_until", "")
    view = library.get(key)
    assert (view["status"], view["problems"]) == ("blocked", [])
    alarms = Alarms(redis, "sources:9:3600:block:0")
    assert alarms.message()[0][:2] == ["alarm", "block"]


def test_rows_by_status(redis, library):
    key = library.user()
    redis.cli("HSET", key, "status", "blocked", "blocked_until", PAST)
    for status, found in (("allowed", 1), ("blocked", 0)):
        reply = redis.cli("FCALL_RO", "smtpusers_page", 0, "smtp:", "user",
                          "0", "status", status)
        assert len(reply) - 1 == found, reply


HOSTILE = {
    "sources": [("SET", "x"), ("LPUSH", "x")],
    "volume": [("SET", "x"), ("SET", "-1"), ("SET", "9" * 30), ("SADD", "1")],
}


@pytest.mark.parametrize("kind, command, value", [
    (kind, *how) for kind, hows in HOSTILE.items() for how in hows])
def test_a_counter_that_cannot_be_read(redis, library, kind, command, value):
    alarms = Alarms(redis, "%s:5:3600:block:0" % kind)
    key = alarms.key + ":used:alarm:" + kind
    redis.cli(command, key, value)
    assert alarms.message() == (["bad", "used:alarm:" + kind], [])
    assert library.call("user_reset", alarms.key) == 1
    assert alarms.message() == (["ok"], [])


def test_an_estimate_that_cannot_be_read(redis, library):
    alarms = Alarms(redis, "sources:500:3600:block:0")
    redis.cli("SET", alarms.key + ":used:alarm:sources", "x")
    assert alarms.message() == (["bad", "used:alarm:sources"], [])


def test_a_counter_that_has_lost_its_end(redis, library):
    alarms = Alarms(redis, "volume:5:3600:block:0 sources:5:3600:block:0")
    for key, command, value in (("volume", "SET", "3"),
                                ("sources", "SADD", "192.0.2.9")):
        redis.cli(command, alarms.key + ":used:alarm:" + key, value)
    alarms.message()
    for kind in ("volume", "sources"):
        left = redis.cli("PTTL", alarms.key + ":used:alarm:" + kind)
        assert 3500 * 1000 < left <= 3600 * 1000
    # A shorter period ends the window that is there.
    alarms.plan = "volume:5:60:block:0 sources:5:60:block:0"
    alarms.message()
    for kind in ("volume", "sources"):
        assert redis.cli("PTTL", alarms.key + ":used:alarm:" + kind) <= 60000


LOW, HIGH = 100, 200


@pytest.mark.parametrize("kind", ("sources", "recipients"))
@pytest.mark.parametrize("limits", [(LOW, HIGH), (HIGH, LOW),
                                    (LOW, HIGH, LOW), (HIGH, LOW, HIGH)])
def test_limits_on_both_sides(redis, library, kind, limits):
    """In what is counted exactly and what is estimated, in turns: nothing is
    forgotten within a window, and nothing counts twice.  From 128 on it is
    an estimate."""
    alarms = Alarms(redis, "")
    key = alarms.key + ":used:alarm:" + kind
    sent, ends = 0, None

    def message(n):
        return alarms.message(**{"sources": {"source": "2001:db8:%x::/64" % n},
                                 "recipients": {"recipients": ["r%d" % n]}
                                 }[kind])

    for limit in limits:
        alarms.plan = "%s:%d:3600:notice:0" % (kind, limit)
        # Each of them twice, in other words.
        for n in range(sent, sent + 25):
            assert message(n) == (["ok"], [])
            assert message(n) == (["ok"], [])
        sent += 25
        found = redis.cli("PEXPIRETIME", key)
        assert ends is None or abs(found - ends) <= 2
        ends = found - 5000
        redis.cli("PEXPIREAT", key, ends)
    first = next(n for n in range(sent, 400) if message(n)[1])
    assert abs(first - limits[-1]) <= 0.03 * limits[-1]


def test_one_too_many_by_another_limit(redis, library):
    """The next message, whatever it is, is behind it; who is told is told
    once."""
    alarms = Alarms(redis, "sources:200:3600:notice:0")
    for n in range(50):
        alarms.message(source="192.0.2.%d" % n)
    alarms.plan = "sources:20:3600:notice:0"
    for told in (1, 0, 0):
        assert len(alarms.message(source="192.0.2.1")[1]) == told
    alarms.plan = "sources:20:3600:block:0"
    assert alarms.message(source="192.0.2.1")[0] == [
        "alarm", "block", "alarm:sources"]


def test_a_limit_that_was_lowered(redis, library):
    alarms = Alarms(redis, "sources:100:3600:block:0")
    for n in range(50):
        alarms.message(source="192.0.2.%d" % n)
    alarms.plan = "sources:20:3600:block:0"
    assert alarms.message(source="192.0.2.1")[0][0] == "alarm"


def test_a_user_who_is_gone_is_not_made(redis, library):
    alarms = Alarms(redis, "blocked:1:3600:block:0")
    library.call("user_del", alarms.key, "purge")
    for _ in range(3):
        assert alarms.count("blocked", "1") == (["ok"], [])
    assert redis.cli("KEYS", "smtp:user:*") == []


def test_a_message_of_a_user_who_is_gone_makes_none(redis, library):
    """It may be reserved before the relay knows that the user is gone."""
    alarms = Alarms(redis, "sources:1:3600:block:0")
    library.call("user_del", alarms.key, "purge")
    for n in range(3):
        assert alarms.message(source="192.0.2.%d" % n) == (["ok"], [])
    assert not redis.cli("EXISTS", alarms.key)
    assert alarms.counters() == []


def test_counters_go_with_the_user(redis, library):
    alarms = Alarms(redis, "sources:5:3600:block:0 recipients:500:3600:block:0")
    alarms.message()
    assert alarms.counters() == ["recipients", "sources"]
    redis.cli("FCALL", "smtpusers_user_rename", 2, alarms.key,
              library.user("bob"))
    assert alarms.counters() == []
    assert redis.cli("EXISTS", library.user("bob", "used", "alarm", "sources"))
    library.call("user_del", library.user("bob"))
    assert not redis.cli("KEYS", "smtp:*used*alarm*")


@pytest.mark.parametrize("words", [
    ("sources",), ("sources:5:3600:block",), ("sources:5:3600:kill:0",),
    ("failed:5:3600:block:0",), ("sources:x:3600:block:0",)])
def test_plans_that_are_none(redis, library, words):
    alarms = Alarms(redis, words[0])
    with pytest.raises(ReplyError, match="^INVALID "):
        alarms.message()
    with pytest.raises(ReplyError, match="^INVALID "):
        alarms.count("sources", "192.0.2.1")


@pytest.mark.parametrize("words", [
    (), ("sources",), ("failed", "1"), ("blocked", "x"), ("blocked", "-1"),
    ("blocked", "1", "x"), ("blocked", "1", ""), ("blocked", "1", "2", "3")])
def test_calls_that_are_none(redis, library, words):
    with pytest.raises(ReplyError, match="^INVALID "):
        redis.cli("FCALL", "smtpusers_alarm", 1, library.user(),
                  "blocked:5:3600:block:0", *words)


def test_who_has_no_alarms_pays_nothing(redis, library):
    functions = Functions(redis)
    before = redis.cli("INFO", "commandstats")
    functions.call("reserve", "x", "1")
    functions.call("keep", "x")
    after = redis.cli("INFO", "commandstats")
    for command in ("scard", "pexpire", "pexpiretime", "pfcount"):
        count = re.compile("cmdstat_%s:calls=([0-9]+)" % command)
        assert count.findall(after) == count.findall(before)
