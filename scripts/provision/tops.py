# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Who sends most: of each hour there is a sorted set, and who has the highest
sums of several hours is found without reading all of any.

The heads of all sets are read, and what those who may be among the first have
in the other sets is asked for. Whoever has been met nowhere has in each hour
at most what the last one that was read has there: once these together are no
more than the least of those who are found, nobody is missing."""

import collections

from .failure import note
from .names import NAME
from .text import print_json, time_text
from .totals import hour_of, last_hours, print_table, readable

KEPT = 48               # hours
WHAT = ("messages", "recipients", "bytes", "blocks")
PAGE = 100              # members of a set that are read at first
DEPTH = 1600            # and at most
NAMES = 200             # that a set is asked about in one command


def do_top(args):
    redis = args.connect()
    hours = last_hours(args.last)
    keys = {what: [top_key(redis, when, args.account, what) for when in hours]
            for what in WHAT}
    found, more = best(redis, keys[args.by], args.count)
    rows = [dict(zip(("name", *WHAT), row)) for row in
            zip(found, *(sums(redis, keys[what], found) for what in WHAT))]
    kind = "accounts" if args.account else "users"
    if args.json:
        print_json({"since": time_text(hours[0]), "by": args.by,
                    "missing_at_most": more, kind: rows})
        return
    print_table(hours, [("ACCOUNT" if args.account else "USER",
                         *map(str.upper, WHAT))] + [
        tuple(map(str, row.values())) for row in rows])
    if more:
        note("incomplete: others with up to %d may belong here" % more)


def top_key(redis, when, account, what):
    return redis.key("top:{", hour_of(when), "}:",
                     "account:" if account else "", what)


def number(score):
    """What a relay cannot have written counts nothing."""
    value = float(score or 0)
    return int(value) if 0 <= value < 2 ** 63 else 0


def best(redis, keys, count):
    """The names that have most, those first; and what one that is missing
    may have at most, 0 where none is."""
    known = collections.defaultdict(dict)       # scores by name and key
    floors = dict.fromkeys(keys)
    start, size = 0, PAGE
    while True:
        read_heads(redis, known, floors, start, start + size - 1)
        unseen = sum(floors.values())
        learn(redis, known, floors, least(known, count))
        start, size = start + size, max(start, PAGE)
        bar = least(known, count)
        if unseen <= bar or start >= DEPTH:
            break
    ranks = sorted((-sum(scores.values()), name)
                   for name, scores in known.items())
    return ([name for score, name in ranks[:count] if score],
            unseen if unseen > bar else 0)


def read_heads(redis, known, floors, first, last):
    """The next members of each set that has more."""
    keys = [key for key, floor in floors.items() if floor != 0]
    replies = readable(redis, keys, [
        ("ZREVRANGE", key, str(first), str(last), "WITHSCORES")
        for key in keys])
    for key, flat in zip(keys, replies):
        flat = flat or []
        for name, score in zip(flat[::2], flat[1::2]):
            if NAME.fullmatch(name):
                known[name][key] = number(score)
        whole = len(flat) < 2 * (last - first + 1)
        floors[key] = 0 if whole else number(flat[-1])


def least(known, count):
    """What the last of those who have most has for certain."""
    scores = sorted((sum(scores.values()) for scores in known.values()),
                    reverse=True)
    return scores[count - 1] if len(scores) >= count else 0


def learn(redis, known, floors, bar):
    """All of those who may have more than that."""
    most = sum(floors.values())
    names = [name for name, scores in known.items()
             if sum(scores.values()) + most -
             sum(floors[key] for key in scores) > bar]
    for key in floors:
        asked = [name for name in names if key not in known[name]]
        for name, score in zip(asked, scores_of(redis, key, asked)):
            known[name][key] = score


def scores_of(redis, key, names):
    parts = [names[start:start + NAMES]
             for start in range(0, len(names), NAMES)]
    replies = readable(redis, [key] * len(parts), [
        ("ZMSCORE", key, *part) for part in parts])
    return [number(score) for part, reply in zip(parts, replies)
            for score in (reply or [None] * len(part))]


def sums(redis, keys, names):
    """What each of the names has in all sets."""
    found = [0] * len(names)
    for key in keys:
        for place, score in enumerate(scores_of(redis, key, names)):
            found[place] += score
    return found
