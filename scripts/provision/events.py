# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The stream of events: what people should be told."""

import math
import secrets
import sys
import time

from .connection import Away, ReplyError, wrong_type
from .failure import EX_UNAVAILABLE, Failure, note
from .functions import fcall, need_functions, warned
from .reports import SHOWN_ENTRIES, stream_entry
from .text import print_json, visible

EVENTS_MAX = "10000"    # about as many as the relay has the stream keep
PAGE = 1000
LONGEST = 10            # seconds between two tries to reach Redis

# Fields that have a place of their own in a line.
PLACED = ("id", "entry", "time", "kind", "user", "account")


def events_key(redis):
    return redis.key("events")


# Writing

def add_event(redis, kind, **fields):
    """What has been done is not undone where it cannot be told."""
    words = [word for pair in {
        "id": secrets.token_hex(8), "kind": kind, **fields,
        "relay": redis.conf["relay_name"]}.items() if pair[1]
        for word in pair]
    try:
        redis.one("XADD", events_key(redis), "MAXLEN", "~", EVENTS_MAX, "*",
                  *words)
    except Failure as failure:
        note("done, but the event could not be written: %s" % failure)


def set_status(redis, kind, name, status, by, *more):
    """Of a user or an account, with more fields and values; another one than
    before is told. The reply."""
    key = redis.key(kind, ":{", name, "}")
    need_functions(redis)
    held, reply = redis.many([
        ("HMGET", key, "status", "account"),
        fcall(kind + "_set", [key], "status", status, *more)])
    if isinstance(reply, ReplyError):
        raise reply
    if warned(reply) == "changed" and not isinstance(held, ReplyError):
        about = {"account": held[1], **{kind: name}}
        add_event(redis, "%s.%s" % (kind, status), **about,
                  former=held[0] or "allowed", by=by)
    return reply


# Reading

def event_of(entry):
    """An entry of the stream. What the relay has drawn tells events apart; a
    stranger's has the entry's own id."""
    event = stream_entry(entry)
    fields = dict(zip(entry[1][::2], entry[1][1::2]))
    return {**event, "id": fields.get("id") or event["id"],
            "entry": event["id"]}


def do_events(args):
    redis = args.connect()
    count = args.count
    if count is None:
        count = SHOWN_ENTRIES if args.since is None else math.inf
    last, events = newest(redis, args, count)
    show(args, events)
    if args.follow:
        follow(args, redis, last)


def newest(redis, args, count):
    """The last entry of all, and the last events that are asked for."""
    last, end, found = "0-0", "+", []
    since = "-" if args.since is None else str(args.since)
    while True:
        page = ask(redis, "XREVRANGE", events_key(redis), end, since,
                   "COUNT", str(PAGE))
        if end == "+" and page:
            last = page[0][0]
        found += filter(wanted(args), map(event_of, page))
        if len(page) < PAGE or len(found) >= count:
            break
        end = "(" + page[-1][0]
    if len(found) > count:
        del found[count:]
    return last, found[::-1]


def wanted(args):
    """Of all, or of the user or the account of a name."""
    return lambda event: args.name is None or args.name in (
        event.get("user"), event.get("account"))


def ask(redis, *words):
    try:
        return redis.one(*words)
    except ReplyError as error:
        raise wrong_type(error, events_key(redis), "stream") from None


def follow(args, redis, last):
    """Waits for events behind the last one, however often Redis goes."""
    pause = 0
    while True:
        try:
            redis = redis or args.connect()
            last = show_added(args, redis, last)
            pause = 0
        except Failure as failure:
            if not is_passing(failure):
                raise
            if not pause:
                note("%s; waiting for it" % failure)
            redis, pause = None, min(pause * 2 or 0.1, LONGEST)
            time.sleep(pause)


def is_passing(failure):
    if isinstance(failure, ReplyError):
        return failure.is_passing()
    return isinstance(failure, Away) or failure.code == EX_UNAVAILABLE


def show_added(args, redis, last):
    patience = str(max(1, int(redis.timeout * 1000 / 2)))
    found = ask(redis, "XREAD", "BLOCK", patience, "COUNT", str(PAGE),
                "STREAMS", events_key(redis), last)
    for _, page in found or ():
        show(args, filter(wanted(args), map(event_of, page)))
        last = page[-1][0]
    return last


def show(args, events):
    for event in events:
        if args.json:
            print_json(event, indent=None)
        else:
            print(visible(event_line(event)))
    sys.stdout.flush()


def event_line(event):
    """An event for people, as one line."""
    parts = ["%-20s" % event["time"], "%-16s" % event.get("kind", "-")]
    parts += ["%s=%s" % (name, event[name]) for name in ("user", "account")
              if name in event]
    parts += ["%s=%s" % pair for pair in event.items()
              if pair[0] not in PLACED]
    return " ".join(parts).rstrip()
