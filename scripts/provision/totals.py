# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Totals of an hour, as the relays have added them up."""

import collections
import re
import time

from .connection import ReplyError
from .failure import note
from .text import columns, print_json, time_text

HOUR = 3600
FIELD = re.compile("([a-z-]+):([a-z-]+)(?::([a-z-]+))?")
FIELDS_MAX = 1000       # the relays write some hundred at most
KEPT = 35 * 24          # hours

# The columns of an hour, for people.
SHOWN = (("LOGINS", "login", "accepted"), ("FAILED", "login", "refused"),
         ("ACCEPTED", "message", "accepted"),
         ("SANDBOXED", "message", "sandboxed"),
         ("DEFERRED", "message", "deferred"),
         ("REFUSED", "message", "refused"),
         ("RECIPIENTS", "recipient", "accepted"),
         ("BYTES", "bytes", "accepted"))


def last_hours(count):
    """When so many full hours began and the one that runs, the first ones
    first."""
    last = int(time.time()) // HOUR
    return [number * HOUR for number in range(last - count, last + 1)]


def hour_of(when):
    """As keys have it."""
    return time.strftime("%Y-%m-%dT%H", time.gmtime(when))


def stats_key(redis, when):
    return redis.key("stats:{", hour_of(when), "}")


def readable(redis, keys, commands):
    """The replies to the commands, each about one of the keys; None where the
    key is of another type, which is said."""
    replies = redis.many(commands)
    for place, (key, reply) in enumerate(zip(keys, replies)):
        if not isinstance(reply, ReplyError):
            continue
        if reply.kind != "WRONGTYPE":
            raise reply
        note("%s: ignored, since it is of the wrong type" % key)
        replies[place] = None
    return replies


def read_stats(redis, hours):
    """The counts of each hour, by event, result and reason."""
    keys = [stats_key(redis, when) for when in hours]
    sizes = readable(redis, keys, [("HLEN", key) for key in keys])
    found = {key: collections.Counter() for key in keys}
    wanted = []
    for key, size in zip(keys, sizes):
        if size and size > FIELDS_MAX:
            note("%s: ignored, since no relay writes so many fields" % key)
        elif size:
            wanted.append(key)
    replies = readable(redis, wanted, [("HGETALL", key) for key in wanted])
    for key, flat in zip(wanted, replies):
        found[key] = counts_of(flat or [])
    return [found[key] for key in keys]


def counts_of(flat):
    counts = collections.Counter()
    for field, value in zip(flat[::2], flat[1::2]):
        match = FIELD.fullmatch(field)
        if match and re.fullmatch("[0-9]{1,19}", value):
            counts[match.groups("")] += int(value)
    return counts


def by_result(counts):
    """{event: {result: count}}, all reasons together."""
    found = {}
    for (event, result, _), count in sorted(counts.items()):
        results = found.setdefault(event, {})
        results[result] = results.get(result, 0) + count
    return found


def do_stats(args):
    hours = last_hours(args.since)
    counted = read_stats(args.connect(), hours)
    show = {"hour": by_hour, "reason": by_reason}.get(args.by, all_together)
    show(args, hours, counted)


def together(counted):
    return sum(counted, collections.Counter())


def all_together(args, hours, counted):
    totals = by_result(together(counted))
    if args.json:
        print_json({"since": time_text(hours[0]), "totals": totals})
        return
    print_table(hours, [("EVENT", "RESULT", "COUNT")] + [
        (event, result, str(count)) for event, results in totals.items()
        for result, count in results.items()])


def by_reason(args, hours, counted):
    rows = [(event, result, reason or None, count) for
            (event, result, reason), count in
            sorted(together(counted).items())]
    if args.json:
        print_json({"since": time_text(hours[0]), "totals": [
            dict(zip(("event", "result", "reason", "count"), row))
            for row in rows]})
        return
    print_table(hours, [("EVENT", "RESULT", "REASON", "COUNT")] + [
        (event, result, reason or "-", str(count))
        for event, result, reason, count in rows])


def by_hour(args, hours, counted):
    totals = list(map(by_result, counted))
    if args.json:
        print_json({"since": time_text(hours[0]), "hours": [
            {"hour": time_text(when), "totals": results}
            for when, results in zip(hours, totals)]})
        return
    print_table(hours, [("HOUR", *(title for title, _, _ in SHOWN))] + [
        (time_text(when), *(str(results.get(event, {}).get(result, 0))
                          for _, event, result in SHOWN))
        for when, results in zip(hours, totals)])


def print_table(hours, rows):
    print("Since %s:" % time_text(hours[0]))
    for line in columns(rows):
        print(line)
