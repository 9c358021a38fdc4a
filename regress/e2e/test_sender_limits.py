# Copyright (c) 2026 The smtpusers authors
# See LICENSE.


"""Quotas and rates for each sender domain."""

import pytest

from quotas import Functions
from redisserver import ReplyError


@pytest.fixture
def counters(redis, users):
    users.add("alice", sender_quota="2")
    return Functions(redis)


def reserve(counters, hold, *domains, units=1):
    return counters.call("reserve", hold, units, "senders", len(domains),
                         *domains)


@pytest.mark.parametrize("tags", [
    ["x", "0"], ["senders"], ["senders", "x"], ["senders", "2", "a.example"],
    ["senders", "-1"], ["senders", "0", "senders", "0"],
    ["senders", "1", "a b"], ["senders", "1", ""], ["senders", "1", "a:b"]])
def test_tags_that_are_none(counters, tags):
    for function in ("check", "reserve"):
        with pytest.raises(ReplyError, match="INVALID"):
            counters.call(function, "a", 1, *tags)
    assert counters.redis.cli("KEYS", counters.user + ":used:*") == []


def test_each_domain_for_itself(counters):
    for hold in ("a", "b"):
        assert reserve(counters, hold, "a.example") == ["ok"]
    assert reserve(counters, "c", "a.example") == [
        "full", "sender_quota", "2", "1d", "86400", "", "a.example"]
    assert reserve(counters, "d", "b.example") == ["ok"]
