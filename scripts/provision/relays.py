# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""What relays write of themselves: relay:{HOST}:PROGRAM, a hash that is gone
when its program has not written it for a while, and relays, which knows when
each was heard of last. What stands there may be anything."""

import re
import time

from .connection import ReplyError

PROGRAMS = ("filter", "table")
MEMBER = re.compile(r"(filter|table):([A-Za-z0-9._-]{1,64})")
MOST = 1000             # members of relays, of which each relay has two
SCANNED = 4000          # words of a hash, of which a filter may write 1200
TOTAL = re.compile(r"([a-z]{1,20}):([a-z]{1,20})(?::([a-z-]{1,40}))?")
NUMBER = re.compile(r"[0-9]{1,18}")
# Seconds that a program may seem to be silent before its clock is to blame.
SKEW = 300

# Counters, of which what the last minute has brought is there as well.
COUNTERS = {
    "filter": ("connections", "connections_refused", "logins_accepted",
               "logins_refused", "logins_failed", "messages_accepted",
               "messages_sandboxed", "messages_trusted", "messages_refused",
               "messages_deferred", "messages_failed", "recipients_refused",
               "temporary_failures", "writes_lost", "alarms", "limits_reached",
               "spf_questions", "spf_failures"),
    "table": ("lookups_found", "lookups_not_found", "lookups_failed")}
OF_BOTH = ("redis_requests", "redis_unanswered", "redis_time")
# What goes up and down.
GAUGES = {"filter": ("sessions", "writes_waiting"), "table": ()}
TIMES = ("redis_median", "redis_p99", "redis_worst")


def numbers_of(program):
    """The fields that are numbers."""
    counters = COUNTERS[program] + OF_BOTH
    return ("pid", "started", "seen", "redis_timeout", *GAUGES[program],
            *counters, *(name + "_minute" for name in counters), *TIMES)


class Program:
    """What is known of one: numbers by the names of fields, or None where it
    is not heard of; seen is when it was, in seconds of the epoch; totals are
    its counters by event, result and reason, None for no reason."""

    def __init__(self, seen, reply, totals, names):
        self.seen = seen
        self.totals = totals
        self.strange = isinstance(reply, ReplyError)
        self.version, self.numbers = None, None
        if self.strange or all(value is None for value in reply):
            return
        version, *values = reply
        self.version = version
        self.numbers = {name: int(value) for name, value in zip(names, values)
                        if NUMBER.fullmatch(value or "")}
        self.strange = len(self.numbers) < len(names) or version is None

    def age(self, now):
        """Seconds since it was heard of."""
        return max(0, int(now - self.seen))

    def is_gone(self, now):
        """A hash that nobody has had expire is no sign of life."""
        return self.numbers is None or self.age(now) > SKEW


def read_relays(redis):
    """{relay: {program: what is known}}, by name; and how many of what is
    listed are no relays."""
    flat = redis.one("ZRANGE", redis.key("relays"), "0", str(MOST - 1), "REV",
                     "WITHSCORES")
    listed, strange = {}, 0
    for member, score in zip(flat[::2], flat[1::2]):
        match = MEMBER.fullmatch(member)
        if match:
            listed[match[2], match[1]] = seen_of(score)
        else:
            strange += 1
    found, names = {}, sorted(listed)
    replies = iter(redis.many([words for one in names
                               for words in questions(redis, *one)]))
    for (relay, program), reply, totals in zip(names, replies, replies):
        found.setdefault(relay, {})[program] = Program(
            listed[relay, program], reply, totals_of(totals),
            numbers_of(program))
    return found, strange


def totals_of(reply):
    """Of the fields of that form, as filter/totals.h has them."""
    if isinstance(reply, ReplyError):
        return {}
    flat, found = reply[1], {}
    for name, value in zip(flat[::2], flat[1::2]):
        match = TOTAL.fullmatch(name)
        if match and NUMBER.fullmatch(value):
            found[match.groups()] = int(value)
    return found


def seen_of(score):
    """A score may be infinite, and far from any time."""
    seen = float(score)
    return min(max(seen, 0), time.time())


def key_of(redis, relay, program):
    return redis.key("relay:{", relay, "}:", program)


def questions(redis, relay, program):
    """Its fields, and those that have a colon; not more than there may be,
    however many somebody has put there."""
    key = key_of(redis, relay, program)
    return (("HMGET", key, "version", *numbers_of(program)),
            ("HSCAN", key, "0", "MATCH", "*:*", "COUNT", str(SCANNED)))
