# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""Quotas and rates for each sender domain: one that sends too much takes nothing
from the others."""

import re

import pytest

from cli import log_in_as
from quotas import Functions, Sender, limited
from redisserver import ReplyError, wait_until
from session import Session, simple

PASSWORD = "Open-Sesame1"
TEMPFAIL = "reject|451 4.3.0 Temporary failure"
FULL = re.compile(r"reject\|451 4\.7\.1 \[QUOTA\] (\d+) messages per (\w+) "
                  r"from (\S+) used, try again in (\d+) s")
BOUND = 5000
KEY = "smtp:user:{alice}:used:senders"
DOMAINS = ("example.org", "a.example", "b.example")


@pytest.fixture
def counters(redis):
    return Functions(redis)


@pytest.fixture
def sender(redis):
    with Sender(redis.url) as one:
        yield one


def add(users, **limits):
    limited(users, **limits)
    users.domains("alice", *DOMAINS)


def refused(verdict):
    match = FULL.fullmatch(verdict)
    assert match, verdict
    return match[3]


def reserve(counters, hold, *domains, units=1):
    return counters.call("reserve", hold, units, "senders", len(domains),
                         *domains)


# With the relay

def test_one_site_does_not_use_up_the_rest(relay, users, redis):
    users.add("alice", PASSWORD, domains=DOMAINS, quota="100",
              sender_quota="3", sender_rate="50/1h")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD).startswith("235")
        replies = []
        for domain in ("a.example",) * 5 + ("b.example",) * 3:
            assert session.mail("x@" + domain).startswith("250")
            assert session.rcpt().startswith("250")
            replies.append(session.data(simple(sender="x@" + domain)))
    assert [reply[:3] for reply in replies] == (
        ["250"] * 3 + ["451"] * 2 + ["250"] * 3)
    assert "3 messages per 1d from a.example used, try again in" in replies[3]
    wait_until(lambda: "reason=sender-quota domain=a.example\n" in relay.log(),
               60, "the line about it")
    counters = Functions(redis)
    wait_until(lambda: counters.used() == {"quota": 6}, 60, "what is charged")
    assert counters.used_by() == {
        "a.example": {"sender_quota": 3, "50/1h": 3},
        "b.example": {"sender_quota": 3, "50/1h": 3}}


def test_the_longest_domain(relay, users):
    """Its name fits into the reply."""
    domain = ".".join(("x" * 61, "y" * 61, "z" * 61, "a" * 61, "test"))
    assert len(domain) == 252
    users.add("alice", PASSWORD, domains=[domain], sender_quota="1")
    with Session(relay) as session:
        assert session.plain("alice", PASSWORD).startswith("235")
        for code in ("250", "451"):
            assert session.mail("x@" + domain).startswith("250")
            assert session.rcpt().startswith("250")
            reply = session.data(simple(sender="x@" + domain))
            assert reply.startswith(code)
    assert "1 messages per 1d from %s used, try again in " % domain in reply


def test_the_header_counts_and_not_the_envelope(users, sender, counters):
    add(users, sender_quota="1")
    assert sender.message(author="x@a.example") == "proceed"
    assert refused(sender.message(author="x@a.example")) == "a.example"
    assert sender.message(author="x@b.example") == "proceed"
    assert set(counters.used_by()) == {"a.example", "b.example"}


def test_the_envelope_where_that_is_all(users, redis, counters):
    """Then MAIL FROM knows already."""
    add(users, sender_quota="1")
    with Sender(redis.url, enforce=["envelope"]) as sender:
        assert sender.message(author="x@a.example") == "proceed"
        assert refused(sender.mail()) == "example.org"
        assert sender.mail("x@a.example") == "proceed"
    assert counters.used_by() == {"example.org": {"sender_quota": 1}}


def test_each_of_several_authors(users, sender, counters):
    """All are charged, or none."""
    add(users, sender_quota="2", sender_rate="9/1h")
    assert sender.message(author="x@a.example") == "proceed"
    both = "x@a.example, y@b.example"
    assert sender.message(author=both) == "proceed"
    assert refused(sender.message(author=both)) == "a.example"
    assert refused(sender.message(author="y@b.example, x@a.example")) == (
        "a.example")
    assert counters.used_by() == {
        "a.example": {"sender_quota": 2, "9/1h": 2},
        "b.example": {"sender_quota": 1, "9/1h": 1}}


@pytest.mark.parametrize("end", ["tx-rollback", "drop"])
def test_given_back(users, sender, counters, redis, end):
    """What was never sent has left nothing."""
    add(users, quota="9", sender_quota="2", sender_rate="2/1h")
    for _ in range(5):
        assert sender.mail() == "proceed"
        assert sender.commit(author="x@a.example") == "proceed"
        assert counters.used_by() == {
            "a.example": {"sender_quota": 1, "2/1h": 1}}
        if end == "drop":
            sender.close()
        else:
            sender.report(end)
        wait_until(lambda: counters.used_by() == {}, 60, "the refund")
    assert redis.cli("EXISTS", KEY, KEY + ":until") == 0


def test_a_domain_that_is_blocked_is_not_counted(users, sender, counters):
    add(users, sender_quota="2")
    assert sender.message() == "proceed"
    for number in range(3):
        verdict = sender.message(author="x@%d.stranger.example" % number)
        assert "[ACL]" in verdict
    wait_until(lambda: set(counters.used_by()) == {"example.org"}, 60,
               "what was reserved to come back")


@pytest.mark.parametrize("over, code", [("reject", "550 5.7.1"),
                                        ("defer", "451 4.7.1")])
def test_over(users, sender, over, code):
    add(users, sender_quota="1", over=over)
    assert sender.message() == "proceed"
    assert sender.message().startswith("reject|%s [QUOTA] 1 messages per 1d "
                                       "from example.org used" % code)


@pytest.mark.parametrize("field, value", [
    ("sender_quota", "many"), ("sender_quota", "-1"), ("sender_rate", "5"),
    ("sender_rate", " ".join("%d/1h" % n for n in range(1, 12)))])
def test_values_that_do_not_parse(users, sender, counters, field, value):
    add(users, **{field: value})
    assert sender.message() == TEMPFAIL
    assert "user:{alice}: bad record: " + field in sender.driver.stderr()
    assert counters.call("reserve", "x", 1) == ["bad", field]
    users.set("alice", **{field: ""})
    assert sender.message() == "proceed"


@pytest.mark.parametrize("key", [KEY, KEY + ":until"])
@pytest.mark.parametrize("over", ["defer", "reject", "sandbox"])
def test_counters_of_wrong_types(users, sender, redis, key, over):
    """No room for the time being, even where mail beyond it is rejected, or
    thrown away."""
    add(users, quota="9", sender_quota="3", over=over)
    redis.cli("SET", key, "x")
    for _ in range(2):
        assert sender.message().startswith("reject|451 4.7.1 [QUOTA]")
    wait_until(lambda: sender.driver.stderr().count(
        key + ": cannot be read, so it counts as used up") == 1, 60, "the log")
    redis.cli("DEL", key)
    assert sender.message() == "proceed"
    assert Functions(redis).used() == {"quota": 1}


@pytest.mark.parametrize("text", ["x", "", "1", "9" * 17 + " 1"])
def test_a_counter_that_cannot_be_read(users, sender, redis, text):
    add(users, sender_quota="3", sender_rate="3/1h", over="reject")
    assert sender.message() == "proceed"
    for field in ("/quota", "/rate"):
        former = redis.cli("HGET", KEY, "example.org" + field)
        redis.cli("HSET", KEY, "example.org" + field, text)
        assert sender.message().startswith("reject|451 4.7.1 [QUOTA] 3 ")
        assert sender.message(author="x@a.example") == "proceed"
        redis.cli("HSET", KEY, "example.org" + field, former)
    assert sender.message() == "proceed"


def test_rights(users, redis, tmp_path):
    """The user of Redis that setup proposes may do all that they need."""
    log_in_as(redis, "relay", tmp_path)
    add(users, sender_quota="2", sender_rate="9/1h")
    try:
        with Sender(redis.url, redis_user="relay",
                    redis_password_file=str(tmp_path / "relay.pw")) as sender:
            assert sender.send(3) == 2
            assert sender.message(author="x@a.example", end="tx-rollback") \
                == "proceed"
    finally:
        redis.cli("ACL", "DELUSER", "relay")


# The functions

@pytest.mark.parametrize("tags", [
    ["x", "0"], ["senders"], ["senders", "x"], ["senders", "2", "a.example"],
    ["senders", "-1"], ["senders", "0", "senders", "0"],
    ["senders", "1", "a b"], ["senders", "1", ""], ["senders", "1", "a:b"]])
def test_tags_that_are_none(users, counters, tags):
    add(users, sender_quota="2")
    for function in ("check", "reserve"):
        with pytest.raises(ReplyError, match="INVALID"):
            counters.call(function, "a", 1, *tags)
    assert counters.redis.cli("KEYS", counters.user + ":used:*") == []


def test_a_retry_counts_once(users, counters):
    add(users, sender_quota="2", sender_rate="9/1h")
    for _ in range(3):
        assert reserve(counters, "a", "a.example") == ["ok"]
    assert counters.used_by() == {"a.example": {"sender_quota": 1, "9/1h": 1}}
    for _ in range(2):
        counters.call("refund", "a")
    assert counters.used_by() == {}
    assert reserve(counters, "a", "a.example") == ["void"]
    assert reserve(counters, "b", "a.example", units=2) == ["ok"]
    counters.call("keep", "b")
    counters.call("refund", "b")
    assert reserve(counters, "c", "a.example") == [
        "full", "sender_quota", "2", "1d", "86400", "", "a.example"]


def crowd(redis, count, until):
    """So many domains that are counted."""
    redis.cli("EVAL", """
	for i = 1, tonumber(ARGV[1]) do
		redis.call('ZADD', KEYS[1], ARGV[2], i .. '.crowd.example')
	end""", 1, KEY + ":until", count, until)


def milliseconds(redis):
    seconds, rest = redis.cli("TIME")
    return int(seconds) * 1000 + int(rest) // 1000


def test_no_more_domains_than_there_may_be(users, redis, counters):
    """Those that are counted, and those of the user, have room all the same;
    and the others when one has gone."""
    add(users, sender_quota="2")
    assert reserve(counters, "a", "first.example") == ["ok"]
    crowd(redis, BOUND - 1, milliseconds(redis) + 600000)
    reply = reserve(counters, "b", "late.example")
    assert reply[:4] == ["full", "sender_count", str(BOUND), "1d"]
    assert 590 <= int(reply[4]) <= 601 and reply[5:] == ["", "late.example"]
    assert counters.call("check", "none", 1, "senders", 1,
                         "late.example")[1] == "sender_count"
    assert reserve(counters, "c", "first.example") == ["ok"]
    assert reserve(counters, "d", "a.example") == ["ok"]
    assert reserve(counters, "e", "first.example")[1] == "sender_quota"
    redis.cli("ZREM", KEY + ":until", "1.crowd.example", "2.crowd.example")
    assert reserve(counters, "f", "late.example") == ["ok"]


def test_the_reply_about_too_many_domains(users, redis):
    add(users, sender_quota="2", over="reject")
    users.domains("alice", "example.org")
    users.set("alice", account="acme", mode="all")
    users.account("acme", "late.example")
    crowd(redis, BOUND, milliseconds(redis) + 600000)
    with Sender(redis.url) as sender:
        assert re.fullmatch(
            r"reject\|451 4\.7\.1 \[QUOTA\] No more from late\.example, 5000 "
            r"sender domains are counted, try again in \d+ s",
            sender.message(author="x@late.example"))
        assert sender.message() == "proceed"


def test_those_that_are_over_go(users, redis, counters):
    add(users, sender_quota="2")
    crowd(redis, 1000, milliseconds(redis) - 1000)
    redis.cli("HSET", KEY, "1.crowd.example/quota", "1 1")
    for number in range(100):
        assert reserve(counters, "h%d" % number,
                       "%d.example" % number) == ["ok"]
    assert redis.cli("ZCARD", KEY + ":until") == 100
    assert redis.cli("HLEN", KEY) == 100
    assert 86000 < redis.cli("TTL", KEY) <= 86401
    assert 86000 < redis.cli("TTL", KEY + ":until") <= 86401


def test_other_domains_do_not_end_a_window(users, redis, counters):
    add(users, sender_quota="2")
    assert reserve(counters, "a", "a.example", units=2) == ["ok"]
    users.set("alice", sender_quota="", sender_rate="9/1m")
    assert reserve(counters, "b", "b.example") == ["ok"]
    for key in (KEY, KEY + ":until"):
        assert redis.cli("TTL", key) > 80000
    users.set("alice", sender_quota="2")
    assert reserve(counters, "c", "a.example")[1] == "sender_quota"


@pytest.mark.parametrize("score", ["inf", "1e300"])
def test_an_end_that_is_none(users, redis, counters, score):
    """Costs nobody but whoever has it."""
    add(users, sender_quota="2")
    redis.cli("ZADD", KEY + ":until", score, "b.example")
    for hold in "ab":
        assert reserve(counters, hold, "a.example") == ["ok"]
    assert reserve(counters, "c", "a.example")[0] == "full"


def test_what_is_over_is_not_counted(users, redis, counters):
    """Whether it has been taken away yet, or not."""
    add(users, sender_quota="2", sender_rate="2/1d")
    now = milliseconds(redis)
    redis.cli("HSET", KEY, "a.example/quota", "%d000 2" % now,
              "a.example/rate", "1 1 %d000 86400:2:172800000000" % now)
    for hold in ("a", "b"):
        assert reserve(counters, hold, "a.example") == ["ok"]
    assert reserve(counters, "c", "a.example")[0] == "full"


def test_limits_that_come_and_go(users, counters, redis):
    """A former reservation is given back where it was counted."""
    add(users, quota="9", sender_quota="2", sender_rate="9/1h")
    assert reserve(counters, "a", "a.example") == ["ok"]
    users.set("alice", sender_quota="", sender_rate="")
    assert reserve(counters, "b", "a.example") == ["ok"]
    assert counters.used_by() == {}
    counters.call("refund", "a")
    assert redis.cli("EXISTS", KEY, KEY + ":until") == 0
    assert counters.used() == {"quota": 1}


def test_what_a_new_user_of_the_name_inherits(users, redis, counters):
    add(users, sender_quota="2")
    assert reserve(counters, "a", "a.example") == ["ok"]
    user = "smtp:user:{alice}"
    redis.cli("FCALL", "smtpusers_user_reset", 1, user)
    assert counters.used_by() == {}
    assert reserve(counters, "b", "a.example") == ["ok"]
    redis.cli("FCALL", "smtpusers_user_rename", 2, user, "smtp:user:{bob}")
    bob = Functions(redis, "bob")
    assert bob.used_by() == {"a.example": {"sender_quota": 1}}
    redis.cli("FCALL", "smtpusers_user_del", 1, "smtp:user:{bob}")
    assert redis.cli("KEYS", "smtp:user:{bob}:used:senders*") == []
